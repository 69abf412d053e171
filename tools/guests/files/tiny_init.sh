#!/bin/sh
# Process 1 of the tiny guest. Everything it finds out is a line on the console, for tests to read.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /data /root /etc /var/run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
exec </dev/console >/dev/console 2>&1
uptime() { cut -d' ' -f1 /proc/uptime; }
fetch() { timeout 10 wget -q -O - "$1" 2>/dev/null; } # busybox 1.35: wget -T crashes

while read -r module; do insmod "$module" 2>/dev/null; done </modules.list
ip link set lo up
chmod 4755 /bin/busybox # ping is for every user; for what needs no privilege busybox drops it
echo root:x:0:0:root:/root:/bin/sh >/etc/passwd
echo root:*:19000:0:99999:7::: >/etc/shadow
echo root:x:0: >/etc/group
echo /bin/sh >/etc/shells
chmod 600 /etc/shadow
chmod 755 / /root
touch /etc/resolv.conf

case "$(cat /proc/cmdline)" in
*tiny.cdrom*) echo "BOOTED FROM CDROM at $(uptime)" ;;
*)
  for _ in 1 2 3 4 5 6 7 8 9 10; do root=$(findfs LABEL=tinyroot 2>/dev/null) && break; usleep 50000; done
  if mount -t ext4 "$root" /data 2>/dev/null; then
    count=$(($(cat /data/bootcount 2>/dev/null || echo 0) + 1))
    echo $count >/data/bootcount
    sync
    echo "BOOTED FROM DISK $root bootcount=$count at $(uptime)"
  else
    echo "NO ROOT DISK"
  fi
  ;;
esac

# Tells of every disk that comes, goes or grows; one that begins with `#!` is a script, and run.
watch_disks() {
  before= known=
  while true; do
    now= present=
    for disk in /sys/block/vd*; do
      [ -e "$disk" ] || continue
      name=${disk##*/}
      serial=$(cat "$disk/serial" 2>/dev/null)
      now="$now $name:$serial:$(($(cat "$disk/size") * 512))"
      present="$present $name:$serial"
    done
    [ "$now" = "$before" ] || echo "DISKS$now"
    for disk in $present; do
      case "$known " in *" $disk "*) continue ;; esac
      if [ "$(head -c2 "/dev/${disk%%:*}")" = '#!' ]; then
        head -c4096 "/dev/${disk%%:*}" | tr -d '\000' >/run/script
        chmod +x /run/script
        /run/script 2>&1 | sed 's/^/SCRIPT: /'
      fi
    done
    before=$now known=$present
    usleep 300000
  done
}
watch_disks &

# The power button: the way a host asks a guest to stop.
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\necho "POWER BUTTON" >/dev/console\nsync\numount /data\npoweroff -f\n' >/etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
acpid -l /dev/null

for path in /sys/class/net/*; do
  nic=${path##*/}
  [ "$nic" = lo ] && continue
  ip link set "$nic" up
  udhcpc -i "$nic" -s /etc/lease -t 10 -T 1 -A 2 -b -S -p "/run/udhcpc.$nic.pid" -O mtu -O staticroutes -O ntpsrv >/dev/null 2>&1
done

# As cloud-init's CloudStack source does: metadata is served by whoever served the lease.
server=$(cat /run/server.default 2>/dev/null || cat /run/server.* 2>/dev/null | head -n1)
if [ -n "$server" ]; then
  base=http://$server/latest
  name=$(fetch "$base/meta-data/local-hostname")
  echo "METADATA server=$server instance-id=$(fetch "$base/meta-data/instance-id") local-hostname=$name" \
    "local-ipv4=$(fetch "$base/meta-data/local-ipv4")"
  echo "METADATA169 instance-id=$(fetch http://169.254.169.254/latest/meta-data/instance-id)"
  [ -n "$name" ] && hostname "${name%%.*}"
  mkdir -p /root/.ssh
  chmod 700 /root/.ssh
  fetch "$base/meta-data/public-keys" >/root/.ssh/authorized_keys
  chmod 600 /root/.ssh/authorized_keys
  echo "KEYS $(grep -c . /root/.ssh/authorized_keys)"
  fetch "$base/user-data" >/run/user-data
  echo "USERDATA $(wc -c </run/user-data) bytes"
  if grep -qi '^content-type: *multipart' /run/user-data; then
    awk -f /etc/parts.awk /run/user-data
    for part in /run/part.*.b64; do [ -f "$part" ] && base64 -d "$part" >"${part%.b64}" && rm "$part"; done
  else
    cp /run/user-data /run/part.1
  fi
  for part in /run/part.*; do
    if [ "$(head -c2 "$part")" = '#!' ]; then
      chmod +x "$part"
      "$part" 2>&1 | sed 's/^/USERDATA: /'
    fi
  done
fi

dropbear -r /etc/dropbear_key -p 22 -s
echo "TINY READY host=$(hostname) at $(uptime)"
while true; do setsid cttyhack sh -l; done
