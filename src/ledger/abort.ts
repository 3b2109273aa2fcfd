/** Who listens to each signal. */
const listenersOf = new WeakMap<AbortSignal, { all: Set<() => void>; tell: () => void }>()

/**
 * Calls a listener once when a signal aborts, until the returned function is called. All listeners to one signal share
 * one of its own: Node warns of a leak from the eleventh on, and hundreds may wait under one signal. A signal that has
 * aborted already calls nobody.
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
  // A function of its own, so that the same listener may come twice.
  const call = () => listener()
  all.add(call)
  return () => {
    all.delete(call)
    if (all.size > 0 || listenersOf.get(signal)?.all !== all) return
    listenersOf.delete(signal)
    signal.removeEventListener('abort', tell)
  }
}
