#!/bin/sh
# The hook of a coding agent: asks the service of the ledger that governs the folder, and prints its answer.
#
#   sh hook.sh HARNESS enforce|warn EVENT NODE
#
# It starts no Node while the service answers. Without a ledger above the folder it says nothing. It always exits with 0:
# what it prints is in the form of the harness (src/hooks/forms.ts).
harness=$1 mode=$2 event=$3 node=$4
LC_ALL=C
nl='
'

# The ledger: the innermost .lockstep at or above the folder, or else that of the main worktree.
cd -P "${LOCKSTEP_DIR:-.}" 2>/dev/null || exit 0
root=$PWD git= foreign=
until [ -d "$root/.lockstep" ] && [ ! -L "$root/.lockstep" ]; do
  [ -z "$git" ] && [ -e "$root/.git" ] && git=$root/.git
  [ "$root" = / ] && root= && break
  root=${root%/*}
  [ -n "$root" ] || root=/
done
if [ -z "$root" ] && [ -f "$git" ]; then
  read -r _ place <"$git"
  case $place in /*) ;; *) place=${git%/.git}/$place ;; esac
  { read -r common <"$place/commondir"; } 2>/dev/null || exit 0
  case $common in /*) ;; *) common=$place/$common ;; esac
  root=$(cd -P "$common/.." 2>/dev/null && pwd) || exit 0
  [ -d "$root/.lockstep" ] && [ ! -L "$root/.lockstep" ] || exit 0
fi
[ -n "$root" ] || exit 0
home=${root%/}/.lockstep
# Nobody else may answer for this user, or read what an agent does.
[ -O "$home" ] || [ "$(id -u)" = 0 ] || foreign=1

# The socket, which is elsewhere if the path of the ledger is too long for one.
socket=$home/service.sock
if [ ${#socket} -gt 100 ]; then
  socket=
  if [ -r "$home/socket" ]; then
    { read -r named && read -r id; } <"$home/socket" || :
    [ "${id#*-}" = "$(ls -di "$home" | { read -r inode _; echo "$inode"; })" ] && socket=$named
  fi
fi

# The process above this one, with its start time where Linux tells it: the harness, or the shell that it uses.
above=$PPID
if { IFS= read -r stat <"/proc/$PPID/stat"; } 2>/dev/null; then
  # shellcheck disable=SC2086 # the fields after the name are numbers and one letter
  set -- ${stat##*) }
  above="$PPID ${20}"
fi

document=$(cat)
case $event in SessionEnd | sessionEnd) limit=1.2 ;; *) limit=5 ;; esac
case $foreign:$LOCKSTEP_ACTOR$LOCKSTEP_ON_BEHALF_OF$LOCKSTEP_BEARER_TOKEN$LOCKSTEP_LOCK_ID in
1:*) code=foreign ;;
*["$nl\\\""]*) code=2 ;; # no header has such a value
*)
  headers=
  add() { [ -z "$2" ] || headers="${headers}header = \"$1: $2\"$nl"; }
  add Lockstep-Actor "$LOCKSTEP_ACTOR"
  add Lockstep-On-Behalf-Of "$LOCKSTEP_ON_BEHALF_OF"
  add Lockstep-Lock-Id "$LOCKSTEP_LOCK_ID"
  add Authorization "${LOCKSTEP_BEARER_TOKEN:+Bearer $LOCKSTEP_BEARER_TOKEN}"
  # Other users can see arguments, so the headers with secrets come from a descriptor.
  answer=$(
    curl -q --silent --noproxy '*' --unix-socket "${socket:-/nowhere}" --max-time "$limit" -K /dev/fd/3 \
      -H 'Content-Type: application/json' -H 'Expect:' -H "Lockstep-Process: $above" \
      --data-binary @- --write-out '\n%{http_code} %{content_type}' "http://localhost/v1/hooks/$harness" \
      3<<HEADERS 2>/dev/null <<DOCUMENT
$headers
HEADERS
$document
DOCUMENT
  )
  code=$?
  ;;
esac

# Prints an answer that is in the form of one, and ends.
answered() {
  case $1 in
  '') exit 0 ;;
  '{'*'}') printf '%s\n' "$1" && exit 0 ;;
  esac
}
[ "$code" = 0 ] && [ "${answer##*"$nl"}" = '200 application/vnd.lockstep.hook+json' ] && answered "${answer%"$nl"*}"

case $code in
foreign) why='its folder belongs to another user' ;;
28) why='its service does not answer in time' ;;
7 | 26 | 127)
  why='its service does not run and could not be started'
  # Starting the service, or doing without curl, takes Node. At its end a session has no time for that.
  if [ "$limit" = 5 ] && [ -x "$node" ]; then
    answer=$(
      "$node" "${0%/*}/main.js" hook "$harness" "--$mode" --event "$event" --process "$above" 2>/dev/null <<DOCUMENT
$document
DOCUMENT
    ) && answered "$answer"
  fi
  ;;
*) why='its service gives no valid answer' ;;
esac

deny="Lockstep guards this folder, but $why. So no tool may run here. Tell the user to run: lockstep doctor"
note="Lockstep guards this folder, but $why. This goes on unguarded and unrecorded. See: lockstep doctor"
case $mode:$event in
enforce:PreToolUse)
  printf '{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"%s"}}\n' "$deny"
  ;;
enforce:BeforeTool) printf '{"decision":"deny","reason":"%s"}\n' "$deny" ;;
enforce:preToolUse) printf '{"permission":"deny","agent_message":"%s"}\n' "$deny" ;;
*)
  case $harness in
  cursor) printf '%s\n' "$note" >&2 ;;
  *) printf '{"systemMessage":"%s"}\n' "$note" ;;
  esac
  ;;
esac
exit 0
