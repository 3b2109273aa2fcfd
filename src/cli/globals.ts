/** Options that every command takes. */
export interface Globals {
  actor?: string
  dir?: string
  json?: boolean
  openWait?: number
  /** What a command found out that its answer says too: by how much the time of entries is ahead of the wall clock. */
  clockAheadSeconds?: number | undefined
}
