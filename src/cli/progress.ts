import type { Globals } from './globals.ts'
import { durationText } from './output.ts'

/** A bar on stderr, for work that takes a while; nothing without a terminal, and nothing with --json. */
export interface Bar {
  show: (done: number, total: number) => void
  stop: () => void
}

export async function progressBar({ json }: Globals, what: string): Promise<Bar> {
  if (!process.stderr.isTTY || json) return { show: () => {}, stop: () => {} }
  const { default: progress } = await import('cli-progress')
  const options = {
    format: `${what} {bar} {percentage}% {value}/{total} {eta_formatted}`,
    // At the end there is no time left to tell, which comes as no number.
    formatTime: (seconds: number) => (Number.isFinite(seconds) ? durationText(seconds) : ''),
    stream: process.stderr,
    // What is not taken away need not be given back when Ctrl-C ends the command.
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
