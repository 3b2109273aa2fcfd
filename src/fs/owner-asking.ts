import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { fileError } from './durable.ts'

/** An owner whose event loop is busy has so long to answer: several times the interval at which it looks. */
const silenceMillisMax = 3_000
const answerMillis = 500
const lookMillis = 25

/**
 * Asks the owner of a ledger whether it is there, where neither its socket nor its pid can be seen from here, as between
 * two containers that share nothing but the folder: a file is made that the owner removes. False where it did not.
 * Errors: those of the file system.
 */
export async function isAnswered(path: string): Promise<boolean> {
  const until = performance.now() + silenceMillisMax
  try {
    writeFileSync(path, '', { mode: 0o600 })
  } catch (error) {
    throw fileError(error, `writing ${path}`)
  }
  while (existsSync(path)) {
    if (performance.now() >= until) {
      rmSync(path, { force: true })
      return false
    }
    await new Promise((resolve) => setTimeout(resolve, lookMillis))
  }
  return true
}

/**
 * Answers until it is told to stop, and once more then, so that an owner that holds the ledger for a moment only does not
 * leave the question open. It keeps no process alive. `isOwner` is asked before each answer.
 */
export function answerAsked(path: string, isOwner: () => boolean): () => void {
  const answer = () => {
    try {
      if (existsSync(path) && isOwner()) rmSync(path, { force: true })
    } catch {
      // Whoever asks waits for a while and then relies on LevelDB's own lock.
    }
  }
  const timer = setInterval(answer, answerMillis).unref()
  return () => {
    clearInterval(timer)
    answer()
  }
}
