import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import type { Writable } from 'node:stream'
import type { ListedProcess } from './process-list.ts'
import { startTimer } from './waiting.ts'

const dismissMillisMax = 1_000
/** How long the guard keeps sending KILL to processes that do not end, in tenths of a second. */
const killRoundsMax = 50
/** The grace period after the wrapper was killed: if the lock is broken too, the next holder waits only so long. */
const aloneGraceMillisMax = 10_000
/** The guard is told at most so many processes; the mark finds the others. */
const knownMax = 1_000

/**
 * The script reads one order per line. "over N": from now on the command is N, a pid or, if negative, a group.
 * "term A B": send TERM in A seconds, and KILL B seconds later. "kill B": send KILL in B seconds. "grace T": if the
 * wrapper is killed, wait T tenths of a second between TERM and KILL. "kin P:S …": pids and start times of the
 * processes that the wrapper knows to belong to the command. "done": stop guarding. The end of the input means that the
 * wrapper is dead.
 *
 * Before it sends a signal, the guard looks for processes that come from the command by parent, group or session, and
 * remembers them. A process that cleared its environment has no mark, and it loses its parent when that is ended first.
 *
 * The guard ignores all signals except USR1, with which it cancels an alarm together with its sleep. It stops killing
 * when two checks in a row find no process, because a process may start another one during a check. A zombie counts as
 * dead even if its parent does not reap it.
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
 * A small shell beside a command. It ends the command and every process it started when the wrapper cannot. If the
 * wrapper is killed, a pipe ends, and the guard sends TERM, then KILL. If the wrapper is stopped, the guard acts at the
 * time it was last given. It has its own session and ignores signals, so that signals to the wrapper's group do not
 * affect it. It finds the command, its group and, where /proc exists, all processes with the mark.
 *
 * The guard's clock does not count the time that a machine is suspended. The command does not run in that time either.
 */
export class Guard {
  readonly pid: number
  readonly #process: ChildProcess
  readonly #orders: Writable

  private constructor(process: ChildProcess) {
    this.#process = process
    this.pid = process.pid ?? 0
    this.#orders = process.stdin as Writable
    // A killed guard receives no orders. The wrapper still ends the command itself.
    this.#orders.on('error', () => {})
    process.unref()
  }

  /** Rejects if no process can be started. `descriptors` go to the command, so the guard must not keep them open. */
  static async start(mark: string, descriptors: readonly number[]): Promise<Guard> {
    const nowhere = openSync(devNull, 'r')
    try {
      const highest = Math.max(2, ...descriptors)
      const others = Array.from({ length: highest - 2 }, (_, index) =>
        descriptors.includes(index + 3) ? nowhere : ('ignore' as const),
      )
      // The arguments name neither Lockstep nor the command, so that `pkill` on these names does not end the guard.
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

  /** Guards this pid or, if negative, this group, besides all processes with the mark. */
  over(command: number): void {
    this.#tell(`over ${command}`)
  }

  /** From now on guards only processes with the mark: the command has ended, and its pid may be reused. */
  overMarked(): void {
    this.#tell('over')
  }

  /** Tells the guard which processes of the command were seen. */
  know(processes: readonly ListedProcess[]): void {
    const known = processes.filter(({ start }) => /^\d+$/.test(start)).slice(-knownMax)
    this.#tell(`kin ${known.map(({ pid, start }) => `${pid}:${start}`).join(' ')}`)
  }

  /**
   * Sets when to send TERM and KILL, until the next order. If the wrapper is killed, the same grace period applies, up
   * to 10 s.
   */
  arm({ termMillis, killMillis }: { termMillis: number; killMillis: number }): void {
    const graceMillis = killMillis - termMillis
    this.#tell(`grace ${Math.ceil(Math.min(graceMillis, aloneGraceMillisMax) / 100)}`)
    // The guard sends TERM a little after the wrapper would, because many programs exit at once on a second TERM.
    const lateMillis = Math.min(termLateMillis, graceMillis / 2)
    this.#tell(`term ${inSeconds(termMillis + lateMillis)} ${inSeconds(graceMillis - lateMillis)}`)
  }

  /** Sets when to send KILL, after TERM has been sent. */
  armKill(killMillis: number): void {
    this.#tell(`kill ${inSeconds(killMillis)}`)
  }

  /** Ends the guard. Resolves when it has exited, or when it does not exit in time. */
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

/** A duration for `sleep`. If that accepts only whole seconds, the guard rounds up. */
function inSeconds(millis: number): string {
  return (Math.max(0, millis) / 1000).toFixed(3)
}
