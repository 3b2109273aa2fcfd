import type { Globals } from './globals.ts'
import { durationText } from './output.ts'

/** A progress bar on stderr for slow work. Nothing is shown without a terminal or with --json. */
export interface Bar {
  show: (done: number, total: number) => void
  stop: () => void
}

export async function progressBar({ json }: Globals, what: string): Promise<Bar> {
  if (!process.stderr.isTTY || json) return { show: () => {}, stop: () => {} }
  const { default: progress } = await import('cli-progress')
  const options = {
    format: `${what} {bar} {percentage}% {value}/{total} {eta_formatted}`,
    // At the end, the remaining time is not a number.
    formatTime: (seconds: number) => (Number.isFinite(seconds) ? durationText(seconds) : ''),
    stream: process.stderr,
    // A hidden cursor would stay hidden when Ctrl-C ends the command.
    hideCursor: false,
    linewrap: true,
  }
  const bar = new progress.SingleBar(options, progress.Presets.shades_classic)
  let isShown = false
  return {
    show: (done, total) => {
      if (!isShown) bar.start(total, done)
      isShown = true
      bar.setTotal(total)
      bar.update(done)
    },
    stop: () => {
      if (isShown) bar.stop()
      isShown = false
    },
  }
}
