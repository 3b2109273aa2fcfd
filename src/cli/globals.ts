/** The options that all commands share. */
export interface Globals {
  /** Absolute times in the zone of this machine, instead of times relative to now. */
  absolute?: boolean
  actor?: string
  dir?: string | undefined
  json?: boolean
  onBehalfOf?: string
  openWait?: number
  /** Call the service with the operator's token. */
  operator?: boolean
  /** Absolute times in UTC. */
  utc?: boolean
  /** Set by a command for its answer: by how much the time of entries is ahead of the wall clock. */
  clockAheadSeconds?: number | undefined
}
