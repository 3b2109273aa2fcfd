declare module 'proper-lockfile' {
  /** Locks a file by making a folder beside it; resolves with a function that unlocks it. */
  export function lock(file: string, options?: { realpath?: boolean; update?: number }): Promise<() => Promise<void>>
}
