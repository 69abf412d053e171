#!/bin/sh
# What udhcpc calls when a lease comes or goes: addresses, routes, name servers, host name; and a line on the console.
case "$1" in
deconfig)
  ip addr flush dev "$interface"
  ip link set "$interface" up
  ;;
bound | renew)
  ip addr flush dev "$interface"
  ip addr add "$ip/${mask:-24}" dev "$interface"
  [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
  # RFC 3442: with classless routes, the router option is not looked at
  if [ -n "$staticroutes" ]; then
    set -- $staticroutes
    while [ $# -ge 2 ]; do
      if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"; else ip route replace "$1" via "$2" dev "$interface"; fi
      shift 2
    done
  else
    for address in $router; do ip route replace default via "$address" dev "$interface"; break; done
  fi
  if [ -n "$dns" ]; then
    : >/etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
    for address in $dns; do echo "nameserver $address" >>/etc/resolv.conf; done
  fi
  [ -n "$hostname" ] && hostname "$hostname"
  echo "$serverid" >"/run/server.$interface"
  [ -n "$router$staticroutes" ] && echo "$serverid" >/run/server.default
  echo "LEASE $interface ip=$ip mask=$mask router=$router dns=$dns hostname=$hostname domain=$domain serverid=$serverid" \
    "siaddr=$siaddr mtu=$mtu lease=$lease ntp=$ntpsrv routes=$staticroutes" >/dev/console
  ;;
esac
