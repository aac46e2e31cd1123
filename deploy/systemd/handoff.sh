#!/bin/sh
# The command `handoff` of a machine that runs the service: it works as the service's user, so that it sees and may do
# what the service does, and that nothing of root's gets among its files.
export HANDOFF_CONFIG="${HANDOFF_CONFIG-/etc/handoff/handoff.toml}"
export HANDOFF_RUN_DIR="${HANDOFF_RUN_DIR-/run/handoff}"
export HANDOFF_STATE_DIR="${HANDOFF_STATE_DIR-/var/lib/handoff}"
case $(id -un) in
  handoff) ;;
  root) exec setpriv --reuid handoff --regid handoff --init-groups /opt/handoff/.venv/bin/handoff "$@" ;;
  *)
    echo "handoff: be root, as with sudo, or the user handoff" >&2
    exit 1
    ;;
esac
exec /opt/handoff/.venv/bin/handoff "$@"
