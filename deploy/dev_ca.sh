#!/usr/bin/env bash
# Makes a certification authority for tests and demonstrations, and certificates that it signs. Nobody else trusts it.
#
#   deploy/dev_ca.sh DIR                          the authority: DIR/ca.pem, DIR/ca.key (made once)
#   deploy/dev_ca.sh DIR NAME HOST...             DIR/NAME.pem and DIR/NAME.key, for these host names and addresses
#   deploy/dev_ca.sh DIR --expired NAME HOST...   the same, but it expired yesterday
#
# Kamailio takes them as tls.certificate and tls.key, and peers are checked against tls.ca_file or a target's ca_file.
set -euo pipefail

die() {
  printf 'handoff: %s\n' "$*" >&2
  exit 1
}

# Runs openssl, quietly: what it prints is shown only when it fails.
ssl() {
  local output
  output=$(openssl "$@" 2>&1) || die "openssl $1 failed: $output"
}

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

make_authority() {
  if [[ -s $folder/ca.pem ]]; then return; fi
  ssl req -x509 "${new_key[@]}" -days 3650 -subj "/CN=handoff development CA $RANDOM" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$folder/ca.key" -out "$folder/ca.pem"
}

# A serial number of its own for each: OpenSSL's counter file would be shared by two runs at once.
make_certificate() {
  local name=$1 host names=()
  shift
  for host in "$@"; do
    if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=("IP:$host"); else names+=("DNS:$host"); fi
  done
  local work=$folder/.$name.$$
  mkdir "$work"
  (
    IFS=,
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names[*]}"
  ) >"$work/extensions"
  ssl req -new "${new_key[@]}" -subj "/CN=$name" -keyout "$folder/$name.key" -out "$work/request"
  ssl x509 -req -in "$work/request" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" "${lasts[@]}" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$folder/$name.pem"
  rm -r "$work"
}

usage='usage: deploy/dev_ca.sh DIR [[--expired] NAME HOST...]'
[[ $# -ge 1 && $1 != -* ]] || die "$usage"
command -v openssl >/dev/null || die "openssl is not installed; deploy/install.sh installs it."
folder=$1
shift
umask 077
mkdir -p "$folder"
make_authority
lasts=(-days 825)
if [[ ${1:-} == --expired ]]; then
  # OpenSSL can say so since 3.4, which no longer takes a number of days below zero.
  lasts=(-days -1)
  if openssl x509 -help 2>&1 | grep -q -- -not_after; then
    lasts=(-not_before 20200101000000Z -not_after "$(date -u -d yesterday +%Y%m%d%H%M%SZ)")
  fi
  shift
fi
if (($# > 0)); then
  (($# > 1)) || die "$usage"
  make_certificate "$@"
fi
