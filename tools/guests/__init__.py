"""Guest images for tests and the demo, built from Debian packages only and cached by what they are made of.

nano    a boot sector that prints one line and halts; runs in 0.2 s        (life cycle, storage, boot order)
tiny    the cloud kernel and busybox: DHCP, metadata, user data, ssh; 7 s   (networks)
installer  an ISO that writes the nano guest to an empty disk and reboots  (installation)
debian  Debian 12 with systemd, cloud-init and openssh-server; 45 s         (the proof)
"""
