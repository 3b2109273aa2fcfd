/** The limits of the tools that agents have over MCP: a part of `limits`. */
export const toolLimits = {
  /** How long one call waits for a lock. Clients give up after 60 s. */
  toolWaitSecondsMax: 45,
  /** How long a place in line is kept until the next call, and the number of places. */
  toolPlaceMillis: 60_000,
  toolPlacesMax: 1_000,
  /** How often a call that waits tells its progress. */
  toolProgressMillis: 5_000,
  /** The items in one answer. */
  toolItemsMax: 50,
  /** The characters of one text in an answer: of a text of another agent, of a name or id, and of a message. */
  untrustedChars: 120,
  toolTextChars: 300,
  toolMessageChars: 1_000,
  /** How long the locks of a session are renewed without a call, unless configured. */
  toolIdleSeconds: 3_600,
  /** How long a client may wait for the settings that decide which tools there are. */
  toolSettingsMillisMax: 5_000,
} as const
