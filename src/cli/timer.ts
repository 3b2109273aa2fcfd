/** As long as one timer of Node's can be; it takes a longer one for no time at all. */
const timerMillisMax = 2 ** 31 - 1

/** Calls back after so many milliseconds, however many; what it returns stops that. */
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
