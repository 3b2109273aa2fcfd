/** The same members without those that are undefined. */
export type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/**
 * Leaves out undefined members, for an object whose optional members are absent and never undefined:
 * `{ name, ...given({ reason }) }`.
 */
export function given<T extends object>(members: T): Given<T> {
  const result: Given<T> = {}
  for (const name in members) {
    const member = members[name]
    if (member !== undefined) result[name] = member as Exclude<T[typeof name], undefined>
  }
  return result
}
