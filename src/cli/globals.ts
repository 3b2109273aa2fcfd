/** The options that all commands share. */
export interface Globals {
  actor?: string
  dir?: string
  json?: boolean
  openWait?: number
  /** Set by a command for its answer: by how much the time of entries is ahead of the wall clock. */
  clockAheadSeconds?: number | undefined
}
