/** The limits of what talks to a database. */
export const databaseLimits = {
  /** How long it may take to connect. */
  connectMillis: 5_000,
  /** How long an append may go unanswered before its connection counts as lost. */
  silenceMillis: 5_000,
  /** How long, and with which pauses, another connection is tried then. */
  recoverMillis: 10_000,
  pauseMillis: 100,
  /** The connections for reads, and for snapshots. */
  reads: 4,
  snapshots: 8,
} as const
