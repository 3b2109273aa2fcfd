/** The longest delay of a Node timer. A longer delay would fire at once. */
const timerMillisMax = 2 ** 31 - 1

/** Calls back after `millis` milliseconds, without an upper limit. The returned function stops the timer. */
export function startTimer(millis: number, done: () => void): () => void {
  const until = performance.now() + millis
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    const left = until - performance.now()
    timer = left > timerMillisMax ? setTimeout(wait, timerMillisMax) : setTimeout(done, left)
  }
  wait()
  return () => clearTimeout(timer)
}
