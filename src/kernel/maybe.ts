/** A value, or a promise of it where it is not at hand. An engine in this process has every value at hand. */
export type Maybe<T> = T | Promise<T>

/**
 * Uses a value once it is there: at once if it is at hand. A call that waits only where it must is queued in the order
 * in which callers made it.
 */
export function after<T, R>(value: Maybe<T>, use: (value: T) => Maybe<R>): Maybe<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** All values in order: at once if all are at hand. */
export function all<T>(values: readonly Maybe<T>[]): Maybe<T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as T[])
}
