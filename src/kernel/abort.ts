/** The listeners of each signal. */
const listenersOf = new WeakMap<AbortSignal, { all: Set<() => void>; tell: () => void }>()

/**
 * Calls a listener once when a signal aborts, until the returned function is called. All listeners of a signal share
 * one registration, because Node warns of a leak at the eleventh listener and hundreds of callers may wait under one
 * signal. If the signal has already aborted, the listener is never called.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let listeners = listenersOf.get(signal)
  if (listeners === undefined) {
    const all = new Set<() => void>()
    const tell = () => {
      listenersOf.delete(signal)
      for (const each of all) each()
    }
    listeners = { all, tell }
    listenersOf.set(signal, listeners)
    signal.addEventListener('abort', tell, { once: true })
  }
  const { all, tell } = listeners
  // A new function for each call, so that the same listener may be added twice.
  const call = () => listener()
  all.add(call)
  return () => {
    all.delete(call)
    if (all.size > 0 || listenersOf.get(signal)?.all !== all) return
    listenersOf.delete(signal)
    signal.removeEventListener('abort', tell)
  }
}
