import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import type { Writable } from 'node:stream'
import type { ListedProcess } from './process-list.ts'
import { startTimer } from './timer.ts'

const dismissMillisMax = 1_000
/** How long the guard kills again and again what does not end, in tenths of a second. */
const killRoundsMax = 50
/** More than so many relatives are not told to it; the mark finds the rest. */
const knownMax = 1_000

/**
 * Reads orders, a line each. "over N": the command is N from now on, a pid or, with a minus, a group. "term A B": TERM in A
 * seconds, KILL B seconds later. "kill B": KILL in B seconds. "grace T": what a killed wrapper leaves between TERM and
 * KILL, in tenths of a second. "kin P:S …": pids and start times of what the wrapper knows to be the command's. "done":
 * nothing is left to guard. The end of the lines is the end of the wrapper.
 *
 * Before it sends anything it looks for what comes from the command by parent, group or session, and remembers that: who
 * cleared its environment bears no mark, and loses its parent when that is ended first.
 *
 * All signals are ignored but USR1, by which an alarm that is not needed any more takes its sleep along. It
 * goes on until nothing is found twice in a row: for a process may have started another while it was looked at. A zombie is
 * dead, whoever does not reap it.
 */
const script = `
unset script
trap '' HUP INT QUIT TERM USR2 TSTP TTIN TTOU
mark=$1 command= alarm= grace=0 kin=
marked() { grep -ls -- "$mark" /proc/[0-9]*/environ 2>/dev/null; }
parts=; sleep 0.001 2>/dev/null && parts=yes
seconds() { if [ -n "$parts" ]; then echo "$1"; else echo $((\${1%.*} + 1)); fi; }
pause() { sleep "$(seconds "$1")"; }
stat() {
  pid=\${1#/proc/} pid=\${pid%/stat}
  { read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
  set -f; set -- \${line##*) }; set +f
  [ $# -ge 20 ] || return 1
  parent=$2 group=$3 session=$4 start=\${20}
  case $1 in [ZXx]*) return 1 ;; esac
}
gather() {
  all= known=$kin kin=
  for file in /proc/[0-9]*/stat; do
    stat "$file" || continue
    case " $known " in *" $pid:$start "*) kin="$kin $pid:$start" ;; esac
    all="$all $pid:$start/$parent:/$group:/$session:/"
  done
  before=none
  while [ "$before" != "$kin" ]; do
    before=$kin
    for one in $all; do
      self=\${one%%/*} of=\${one#*/}
      group=\${of#*/}
      session=\${group#*/}
      case " $kin " in *" $self "*) continue ;; esac
      case " \${command#-}: $kin " in
        *" \${of%%/*}"*|*" \${group%%/*}"*|*" \${session%%/*}"*) [ "\${self%%:*}" = $$ ] || kin="$kin $self" ;;
      esac
    done
  done
}
relatives() {
  for one in $kin; do stat "\${one%%:*}" && [ "$start" = "\${one#*:}" ] && return; done
  return 1
}
send() {
  gather
  for one in $kin; do kill -s "$1" -- "\${one%%:*}" 2>/dev/null; done
  for file in $(marked); do file=\${file%/environ}; kill -s "$1" -- "\${file#/proc/}" 2>/dev/null; done
  [ -z "$command" ] || kill -s "$1" -- "$command" 2>/dev/null
}
runs() {
  [ -n "$command" ] || return 1
  [ -r /proc/self/stat ] || { kill -s 0 -- "$command" 2>/dev/null; return; }
  { read -r line </proc/\${command#-}/stat; } 2>/dev/null || return 1
  case \${line##*) } in [ZXx]*) return 1 ;; esac
}
lives() { [ -n "$(marked)" ] || runs || relatives; }
finish() {
  send KILL
  rounds=0 empty=0
  while [ $rounds -lt ${killRoundsMax} ] && [ $empty -lt 2 ]; do
    if lives; then empty=0; send KILL; pause 0.1; else empty=$((empty + 1)); fi
    rounds=$((rounds + 1))
  done
}
after() { sleep "$(seconds "$1")" & nap=$!; wait $nap; }
disarm() { [ -z "$alarm" ] || kill -s USR1 $alarm 2>/dev/null; alarm=; }
arm() {
  disarm
  ( trap 'kill -s KILL $nap; exit' USR1; nap=
    if [ -n "$2" ]; then after "$1"; send TERM; send CONT; after "$2"; else after "$1"; fi
    finish ) &
  alarm=$!
}
while read -r order first second; do
  case $order in
    over) command=$first ;;
    grace) grace=$first ;;
    kin) kin="$first $second" ;;
    term) arm "$first" "$second" ;;
    kill) arm "$first" '' ;;
    done) disarm; exit 0 ;;
  esac
done
if lives; then
  send TERM; send CONT
  while [ "$grace" -gt 0 ] && lives; do pause 0.1; grace=$((grace - 1)); done
fi
finish
disarm
`

/**
 * A small shell beside a command, which ends the command with all it started where its wrapper cannot: TERM, then KILL,
 * when the wrapper has been killed, which it sees by the end of a pipe; and at the time that it was given last, when the
 * wrapper is stopped. It has a session of its own and takes no signal, so that what is sent to the wrapper's group does
 * not reach it. What it finds are the command, its group, and where there is /proc all that bear the mark.
 *
 * Its clock does not count the time that a machine is suspended; the command stands still in that time, too.
 */
export class Guard {
  readonly pid: number
  readonly #process: ChildProcess
  readonly #orders: Writable

  private constructor(process: ChildProcess) {
    this.#process = process
    this.pid = process.pid ?? 0
    this.#orders = process.stdin as Writable
    // One that was killed can be told nothing; its wrapper still does its own part.
    this.#orders.on('error', () => {})
    process.unref()
  }

  /** Rejects where no process can be started. `descriptors` are those that the command gets and the guard must not keep. */
  static async start(mark: string, descriptors: readonly number[]): Promise<Guard> {
    const nowhere = openSync(devNull, 'r')
    try {
      const highest = Math.max(2, ...descriptors)
      const others = Array.from({ length: highest - 2 }, (_, index) =>
        descriptors.includes(index + 3) ? nowhere : ('ignore' as const),
      )
      // Its arguments name neither Lockstep nor the command, so that who kills those by name leaves it alone.
      const guard = spawn('/bin/sh', ['-c', 'eval "$script"', 'guard', mark], {
        cwd: '/',
        detached: true,
        env: { PATH: process.env.PATH, script },
        stdio: ['pipe', 'ignore', 'ignore', ...others],
      })
      await once(guard, 'spawn')
      return new Guard(guard)
    } finally {
      closeSync(nowhere)
    }
  }

  /** What to end besides all that bear the mark: a pid, or with a minus a group. */
  over(command: number): void {
    this.#tell(`over ${command}`)
  }

  /** The command has ended, and its number may become another's. */
  overMarked(): void {
    this.#tell('over')
  }

  /** What the command has started, as far as it was seen. */
  know(processes: readonly ListedProcess[]): void {
    const known = processes.filter(({ start }) => /^\d+$/.test(start)).slice(-knownMax)
    this.#tell(`kin ${known.map(({ pid, start }) => `${pid}:${start}`).join(' ')}`)
  }

  /** When to act unless it is told otherwise until then; the time between is what a killed wrapper's command gets, too. */
  arm({ termMillis, killMillis }: { termMillis: number; killMillis: number }): void {
    const graceMillis = killMillis - termMillis
    this.#tell(`grace ${Math.ceil(graceMillis / 100)}`)
    // The wrapper goes first; a second TERM means more than the first to many a program.
    const lateMillis = Math.min(termLateMillis, graceMillis / 2)
    this.#tell(`term ${inSeconds(termMillis + lateMillis)} ${inSeconds(graceMillis - lateMillis)}`)
  }

  /** TERM has been sent. */
  armKill(killMillis: number): void {
    this.#tell(`kill ${inSeconds(killMillis)}`)
  }

  /** Nothing is left to guard. Resolves when it has ended, or does not in time. */
  async dismiss(): Promise<void> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return
    this.#orders.end('done\n')
    await new Promise<void>((resolve) => {
      const stopTimer = startTimer(dismissMillisMax, resolve)
      this.#process.once('exit', () => {
        stopTimer()
        resolve()
      })
    })
  }

  #tell(order: string): void {
    this.#orders.write(`${order}\n`)
  }
}

const termLateMillis = 1_000

/** As `sleep` takes it; where that knows whole seconds only, the guard takes the next higher. */
function inSeconds(millis: number): string {
  return (Math.max(0, millis) / 1000).toFixed(3)
}
