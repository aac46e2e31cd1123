#!/bin/sh
# A phone to try handoff with: it takes each call at once, speaks with a tone, and stays until Ctrl-C.
#
#   deploy/test_phone.sh NAME PORT        waits for calls to sip:NAME@127.0.0.1:PORT
#   deploy/test_phone.sh NAME PORT URI    calls URI
#
# It needs the package baresip-core (apt-get install baresip-core).
set -eu

if [ $# -lt 2 ]; then
  echo "usage: deploy/test_phone.sh NAME PORT [URI]" >&2
  exit 2
fi
if ! command -v baresip >/dev/null; then
  echo "test_phone.sh: baresip is not installed: apt-get install baresip-core" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 0' INT TERM
for modules in /usr/lib/*/baresip/modules /usr/lib/baresip/modules; do
  if [ -e "$modules/g711.so" ]; then break; fi
done
cat >"$folder/config" <<END
net_interface 127.0.0.1
sip_listen 127.0.0.1:$2
audio_player aubridge,ear
audio_source ausine,440
audio_alert aubridge,bell
module_path $modules
module opus.so
module ausine.so
module aubridge.so
module_app menu.so
module_app account.so
END
echo "<sip:$1@127.0.0.1:$2>;regint=0;answermode=auto;audio_codecs=opus/48000/2" >"$folder/accounts"
touch "$folder/contacts"
if [ $# -gt 2 ]; then baresip -f "$folder" -e "/dial $3"; else baresip -f "$folder"; fi
