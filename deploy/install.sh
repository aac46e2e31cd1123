#!/usr/bin/env bash
# Installs what handoff needs on Debian 12 or 13: Debian packages, a virtual environment in .venv, and in that the sounds
# that are played where the speech engine fails.
#
#   deploy/install.sh            everything, the tools for tests, demo and measurements included (--dev)
#   deploy/install.sh --runtime  only what `handoff up` needs
#   deploy/install.sh --system   that, and a service of this machine: a user, its configuration, command and unit; for
#                                operators, see deploy/README.md
#
# Only what is missing is installed; where nothing is missing it does nothing, fast and without network. No system
# service is started, and the services of newly installed packages stay off at boot: handoff starts its own. Packages
# need root: sudo is used where the user is not root.
set -euo pipefail

runtime_packages=(
  tzdata kamailio kamailio-python3-modules kamailio-extra-modules kamailio-tls-modules
  kamailio-utils-modules kamailio-json-modules kamailio-redis-modules kamailio-websocket-modules
  rtpengine-daemon redis-server espeak-ng ffmpeg openssl python3-venv
)
# prometheus for its promtool, baresip, SIPp and a browser as phones, dnsmasq as name server, the rest to look at what
# they sent.
dev_packages=(
  sip-tester baresip-core chromium chromium-driver dnsmasq-base prometheus tshark tcpdump curl procps iproute2 shellcheck
  systemd
)
# The npm of Debian has a lot of packages: not where another one is there.
command -v npm >/dev/null || dev_packages+=(npm)
services=(kamailio rtpengine-daemon redis-server prometheus)
# A PBX for the tests, which Debian has had up to 11 (bullseye): its packages are unpacked with all that they need, beside
# the system.
asterisk_packages=(
  asterisk asterisk-modules asterisk-opus libc6 libcap2 libcrypt1 libssl1.1 libedit2 libjansson4 libsqlite3-0
  libsystemd0 liburiparser1 libuuid1 libxml2 libxslt1.1 libsrtp2-1 libopus0 zlib1g liblzma5 libicu67 libtinfo6 libbsd0
  libmd0 libgcrypt20 libgpg-error0 liblz4-1 libzstd1 libstdc++6 libgcc-s1 libnss3 libnspr4
)
asterisk_mirrors=(http://deb.debian.org/debian http://archive.debian.org/debian)

policy=/usr/sbin/policy-rc.d
policy_kept=$policy.kept-by-handoff
policy_mark='# handoff: no services while packages are installed'
lock=/run/lock/handoff-install.lock

say() { printf 'handoff: %s\n' "$*"; }
die() {
  printf 'handoff: %s\n' "$*" >&2
  exit 1
}

# Prints those of the given packages that are not installed.
missing_packages() {
  local have
  have=$(dpkg-query -W -f '${Package}=${db:Status-Status}\n' "$@" 2>/dev/null || true)
  local package
  for package in "$@"; do
    grep -qxF "$package=installed" <<<"$have" || printf '%s\n' "$package"
  done
}

# Puts back the policy that was there before us, also after a run that was killed.
restore_policy() {
  if [[ -f $policy ]] && grep -qxF "$policy_mark" "$policy"; then rm -f "$policy"; fi
  if [[ -e $policy_kept || -L $policy_kept ]]; then mv -fT "$policy_kept" "$policy"; fi
}

forbid_services() {
  restore_policy
  if [[ -e $policy || -L $policy ]]; then mv -T "$policy" "$policy_kept"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
  chmod 755 "$policy"
}

# Runs a command, quietly: what it prints is shown only when it fails.
quietly() {
  local output
  output=$(mktemp)
  if "$@" >"$output" 2>&1 </dev/null; then
    rm -f "$output"
  else
    tail -n 30 "$output" >&2
    rm -f "$output"
    return 1
  fi
}

# The part that runs as root.
install_packages() {
  mkdir -p "${lock%/*}" # where no systemd has started, as in a container, it may be missing
  exec 9>"$lock"
  flock 9
  trap restore_policy EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  forbid_services
  local service new_services=()
  for service in "${services[@]}"; do
    if [[ " $* " == *" $service "* ]]; then new_services+=("$service"); fi
  done
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -o DPkg::Lock::Timeout=300 -q)
  # An old list is better than none: installing tells whether it was enough.
  quietly "${apt[@]}" update || say "apt-get update failed; trying with the package lists at hand."
  quietly "${apt[@]}" install --yes --no-install-recommends "$@" ||
    die "apt-get could not install $*; its last words are above."
  for service in "${new_services[@]}"; do
    # Without systemd, as in a container, nothing starts at boot anyway.
    quietly systemctl disable "$service" 2>/dev/null || true
  done
}

ensure_packages() {
  if ! command -v apt-get dpkg-query >/dev/null || ! grep -qE '^ID(_LIKE)?=.*\bdebian\b' /etc/os-release; then
    die "this is not Debian: install the packages that deploy/install.sh names by hand."
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID == 0)); then
    say "installing Debian packages: ${missing[*]}"
    "$BASH" "$script" --packages "${missing[@]}"
  elif command -v sudo >/dev/null; then
    say "installing Debian packages with sudo: ${missing[*]}"
    sudo -- "$BASH" "$script" --packages "${missing[@]}"
  else
    die "missing are ${missing[*]}: run deploy/install.sh as root once, or install sudo."
  fi
}

# Makes or updates .venv. The stamp says for what it was made: another Python or place makes it anew.
ensure_venv() {
  local extras=$1 venv=$root/.venv python made_for
  local stamp=$venv/.handoff-installed
  python=$(readlink -f /usr/bin/python3)
  made_for="$python $root"
  if venv_is_current; then return; fi
  exec 8<"$script"
  flock 8
  # Another run may have done it while this one waited.
  if venv_is_current; then return; fi
  if [[ -e $stamp && $(head -n 1 "$stamp") != "$made_for" ]]; then rm -rf "$venv"; fi
  say "installing Python packages into .venv"
  # Kamailio embeds Debian's Python, so the environment must be made with that one.
  if [[ ! -x $venv/bin/pip ]]; then
    quietly /usr/bin/python3 -m venv --clear "$venv" || die "/usr/bin/python3 could not make the environment $venv."
  fi
  local what=$root
  if [[ $extras == dev ]]; then what+='[dev]'; fi
  quietly "$venv/bin/pip" install --quiet --no-input --disable-pip-version-check -e "$what" ||
    die "pip could not install the Python packages; its last words are above."
  printf '%s\n%s\n' "$made_for" "$extras" >"$stamp"
}

venv_is_current() {
  [[ -e $stamp && ! $root/pyproject.toml -nt $stamp ]] || return 1
  local lines
  mapfile -t lines <"$stamp"
  [[ ${lines[0]} == "$made_for" && (${lines[1]} == dev || ${lines[1]} == "$extras") ]]
}

# The SIP phones of demo and tests, PJSIP. Where there is no wheel of it for our Python that for 3.12 is taken: it uses
# nothing that newer ones do not have, which importing it shows.
ensure_phones() {
  local python=$root/.venv/bin/python folder
  if "$python" -c "import pjsua2.pjsua2" 2>/dev/null; then return; fi
  say "installing PJSIP for Python 3.12"
  folder=$("$python" -c "import sysconfig; print(sysconfig.get_path('platlib'))")
  quietly "$python" -m pip install --quiet --no-input --disable-pip-version-check --no-deps --upgrade \
    --python-version 3.12 --only-binary :all: --target "$folder" "pjsua2-python>=2.15" ||
    die "pip could not install PJSIP; its last words are above."
  mv "$folder"/pjsua2/_pjsua2.cpython-312-*.so "$folder/pjsua2/_pjsua2.abi3.so"
  quietly "$python" -c "import pjsua2.pjsua2" || die "PJSIP cannot be used with this Python; the reason is above."
}

# Makes the sounds that are missing; where cli.speech.standard looks for them, see INSTALLED there.
ensure_sounds() {
  local folder=$root/.venv/share/handoff/sounds name
  for name in music message prompt goodbye caller_gone apology; do
    if [[ ! -s $folder/$name.aiff ]]; then
      say "making the standard sounds"
      (cd "$root" && quietly .venv/bin/python -m cli.speech.standard "$folder") ||
        die "the standard sounds could not be made; the reason is above."
      rm -f "$folder"/*.wav # of older versions
      return
    fi
  done
}

# Fetches what the page of the tests is made of; versions and checksums are in its package-lock.json.
ensure_page_modules() {
  local wanted=$root/tests/stack/pages folder=$root/.venv/share/handoff/pages
  if cmp -s "$wanted/package-lock.json" "$folder/.installed"; then return; fi
  say "fetching SIP.js"
  mkdir -p "$folder"
  cp "$wanted/package.json" "$wanted/package-lock.json" "$folder"
  (cd "$folder" && quietly npm ci --ignore-scripts --no-audit --no-fund) ||
    die "npm could not fetch SIP.js; its last words are above."
  cp "$folder/package-lock.json" "$folder/.installed"
}

# Fetches the packages from the first mirror that still has them. The lists of this machine are not touched.
ensure_asterisk() {
  local folder=$root/.venv/share/handoff/asterisk mirror package
  if [[ -e $folder/.installed && $(<"$folder/.installed") == "${asterisk_packages[*]}" ]]; then return; fi
  say "fetching Asterisk for the tests"
  rm -rf "$folder"
  mkdir -p "$folder"/apt/{lists/partial,archives/partial} "$folder/debs"
  : >"$folder/apt/status"
  local apt=(
    apt-get -q -o "Dir::State=$folder/apt" -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt"
    -o "Dir::Etc::sourcelist=$folder/apt/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Languages=none
    -o "APT::Sandbox::User=$(id -un)" -o APT::Get::List-Cleanup=false
  )
  for mirror in "${asterisk_mirrors[@]}"; do
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bullseye main\n' "$mirror" \
      >"$folder/apt/sources.list"
    if quietly "${apt[@]}" update && (cd "$folder/debs" && quietly "${apt[@]}" download "${asterisk_packages[@]}"); then
      for package in "$folder"/debs/*.deb; do dpkg-deb --extract "$package" "$folder"; done
      rm -rf "$folder"/{apt,debs,usr/share/doc}
      printf '%s\n' "${asterisk_packages[*]}" >"$folder/.installed"
      return
    fi
  done
  die "Asterisk could not be fetched; the last words of apt-get are above."
}

# Makes what the service needs besides; the files of an earlier run are renewed, but the configuration is kept.
ensure_service() {
  # The service must not be able to change what it runs, and must be able to read it.
  chown -R root:root "$root"
  chmod -R u=rwX,go=rX "$root"
  quietly "$root/.venv/bin/python" -m compileall -q "$root"/{cli,kemi,routing,rtpengine} ||
    die "the Python files could not be compiled; the reason is above."
  if ! getent passwd handoff >/dev/null; then
    say "making the system user handoff"
    quietly useradd --system --user-group --no-create-home --home-dir /var/lib/handoff \
      --shell /usr/sbin/nologin handoff || die "the user could not be made; the reason is above."
  fi
  install -d -o root -g handoff -m 750 /etc/handoff
  if [[ ! -e /etc/handoff/handoff.toml ]]; then
    install -o root -g handoff -m 640 "$root/deploy/handoff.toml" /etc/handoff/handoff.toml
  fi
  install -D -m 755 "$root/deploy/systemd/handoff.sh" /usr/local/bin/handoff
  install -D -m 644 "$root/deploy/systemd/handoff.service" /etc/systemd/system/handoff.service
  if [[ -d /run/systemd/system ]]; then systemctl daemon-reload; fi
  say "ready: write /etc/handoff/handoff.toml, then start it by \`systemctl enable --now handoff\`"
}

script=$(readlink -f "${BASH_SOURCE[0]}")
root=$(dirname "$(dirname "$script")")
case ${1:---dev} in
  --packages) # the script calls itself so, as root
    shift
    install_packages "$@"
    ;;
  --runtime)
    ensure_packages "${runtime_packages[@]}"
    ensure_venv runtime
    ensure_sounds
    ;;
  --system)
    ((EUID == 0)) || die "be root to install the service."
    [[ $root == /opt/handoff ]] || die "the service runs from /opt/handoff: copy $root there, and start its install.sh."
    ensure_packages "${runtime_packages[@]}"
    ensure_venv runtime
    ensure_sounds
    ensure_service
    ;;
  --dev)
    ensure_packages "${runtime_packages[@]}" "${dev_packages[@]}"
    ensure_venv dev
    ensure_phones
    ensure_sounds
    ensure_page_modules
    ensure_asterisk
    ;;
  *) die "usage: deploy/install.sh [--runtime | --system | --dev]" ;;
esac
