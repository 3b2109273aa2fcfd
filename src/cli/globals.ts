/** Options that every command takes. */
export interface Globals {
  actor?: string
  dir?: string
  json?: boolean
  openWait?: number
}
