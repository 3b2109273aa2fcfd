/** The limits of the service, its clients and its witnesses: a part of `limits`. */
export const serviceLimits = {
  /** A client: its calls with a request of their own, and how long it tries to connect. */
  openCallsMax: 1_024,
  connectMillisMax: 5_000,
  /** How long a client tries a failed call again, and its first and longest pause between two attempts. */
  retryMillisMax: 5_000,
  retryPauseMillis: 25,
  retryPauseMillisMax: 1_000,
  /** How long the answer to a call that does not wait may take, and how long a started service may take to answer. */
  answerMillisMax: 60_000,
  serviceStartMillisMax: 30_000,
  /** A line of an answer, in UTF-16 code units. */
  answerLineChars: 64 * 1024 * 1024,

  /** The service: requests in progress, calls that wait, open streams, and the bytes of all bodies being read. */
  requestsMax: 4_096,
  waitingRequestsMax: 10_000,
  streamsMax: 1_024,
  bodyBytesInFlight: 256 * 1024 * 1024,
  /** The bytes of the answers of queries in one batch. */
  batchAnswerBytes: 64 * 1024 * 1024,
  /**
   * Uploads of proposals: their number, the bytes of all of them, the bytes that a stem may have beside its objects, the
   * longest line, how long one is kept, and how long one that is not staged yet is safe from others.
   */
  uploadsMax: 256,
  uploadBytesInTotal: 512 * 1024 * 1024,
  uploadStemBytes: 2_048,
  uploadLineBytes: 16 * 1024 * 1024,
  uploadMillisMax: 60 * 60 * 1_000,
  uploadMillisMin: 60_000,
  /** A client uploads a proposal of more bytes, and sends a smaller one in its call. */
  uploadFromBytes: 1024 * 1024,
  /** How often an actor may call, how much of that it can save up, and the actors that are remembered. */
  callsPerSecond: 20_000,
  callsSavedUp: 40_000,
  calledActorsMax: 10_000,
  /**
   * How long the service waits for a request's headers, for a whole request, for the next request, for the reader of an
   * answer, and for the next read of a stream.
   */
  headersMillisMax: 10_000,
  requestMillisMax: 60_000,
  keepAliveMillis: 30_000,
  answerReadMillisMax: 120_000,
  streamWriteMillisMax: 30_000,
  pingMillis: 15_000,
  /** How long a closing service waits for the requests in progress. */
  drainMillisMax: 2_000,
  /** The service ends expired leases this often: it recovers this many locks, and examines this many running runs. */
  sweepMillis: 30_000,
  sweepLocksMax: 64,
  sweepRunsMax: 512,
  sweepTokensMax: 512,
  /** The writer's seat: how long it lasts, how often it is extended and looked at, and when its holder is silent. */
  seatMillis: { lease: 3_000, look: 200, margin: 500, renew: 1_000 },
  /** How often the service looks for texts that their class of retention no longer keeps. */
  retentionMillis: 60 * 60 * 1_000,
  /**
   * A witness: the logs that it watches, the bytes of a request or of an answer, its requests in progress, and its open
   * connections.
   */
  witnessLogsMax: 1_000,
  witnessBodyBytes: 64 * 1024,
  witnessRequestsMax: 64,
  witnessConnectionsMax: 256,
  /** How long one answer of a witness may take, how often one is asked, and the first pause between two attempts. */
  witnessAnswerMillisMax: 10_000,
  witnessTriesMax: 3,
  witnessPauseMillis: 250,
} as const
