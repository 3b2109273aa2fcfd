/** The limits of the tools that agents have over MCP. Each name ends in its unit. All other limits are in `limits`. */
export const toolLimits = {
  /** How long one call waits for a lock. Clients give up after 60 s. */
  waitSecondsMax: 45,
  /** How long a place in line is kept until the next call, and the number of places. */
  placeMillis: 60_000,
  placesMax: 1_000,
  /** How often a call that waits tells its progress. */
  progressMillis: 5_000,
  /** The items in one answer. */
  itemsMax: 50,
  /** The characters of one text in an answer: of a text of another agent, of a name or id, and of a message. */
  untrustedChars: 120,
  textChars: 300,
  messageChars: 1_000,
  /** How long the locks of a session are renewed without a call, unless configured. */
  idleSeconds: 3_600,
  /** How long a client may wait for the settings that decide which tools there are. */
  settingsMillisMax: 5_000,
} as const
