"""`make demo`: two KVM hosts on this machine, `terraform apply` of an example, and the proof that it did what it says."""
