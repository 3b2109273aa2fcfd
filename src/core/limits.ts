/** Every bound of Lockstep in one place. Units stand last in each name; each is checked where the data enters. */
export const limits = {
  /** An entry in canonical form. */
  entryBytes: 32 * 1024,
  /** Names of resources, holders and actors, in UTF-8 bytes. */
  nameBytes: 200,
  /** A lock's full name with its kind: `project:` and three words of 80 are the longest. */
  lockNameBytes: 250,
  /** Free text: reasons and notes, in UTF-16 code units. */
  reasonChars: 2_000,
  pathBytes: 4_096,
  requestKeyBytes: 200,
  /** A JSON document that the command reads from an argument, a file or one line of stdin. */
  documentBytes: 256 * 1024,
  /** A policy file, and how many lanes, roles or names stand in one list of it. */
  policyFileBytes: 256 * 1024,
  policyListMax: 500,
  /** How deep a policy file nests: lists, maps and flow collections, each counted. */
  policyDepthMax: 32,
  /** Both texts of a policy in JSON, up to which an entry holds them itself. */
  policyInlineBytes: 24 * 1024,
  /** A tool's request whose hash is recorded: its RFC 8785 text in UTF-16 code units, and how deep it nests. */
  requestChars: 16 * 1024 * 1024,
  requestDepthMax: 64,
  /** A lock file or RUN_LOCK.json of someone else's making. */
  lockFileBytes: 64 * 1024,

  leaseSecondsDefault: 1_800,
  resourceLeaseSecondsMin: 1,
  resourceLeaseSecondsMax: 86_400,
  deliverableLeaseSecondsMin: 60,
  deliverableLeaseSecondsMax: 3_600,
  waitSecondsMax: 86_400,
  evidenceMax: 4,
  releaseConditionsMax: 16,
  locksPerRequestMax: 256,
  auditEventsPerRequestMax: 1_000,
  /** Runs above a run, allows of a run that wait for their record, artifacts that one run puts out. */
  runDepthMax: 64,
  runOpenActionsMax: 100,
  runOutputsMax: 100,
  runListMax: 1_000,

  /** A turn: one of its objects, all of them, its stems, their refs; the configuration may say otherwise. */
  turnObjectBytes: 1024 * 1024,
  turnBytes: 64 * 1024 * 1024,
  turnStemsMax: 10_000,
  turnRefsMax: 100_000,
  turnBytesMax: 256 * 1024 * 1024,
  turnStemsMaxMax: 100_000,
  turnRefsMaxMax: 1_000_000,
  stemBytes: 512,
  /** Type, id and relationship of an identity or a ref, and a key of links. */
  identityBytes: 512,
  jsonDepthMax: 64,
  /** Problems that are named of one object, and issues of one turn. */
  jsonProblemsMax: 100,
  turnIssuesMax: 10_000,
  turnListMax: 10_000,
  /** Issues that an entry lists itself; more of them are an object that it names. */
  turnIssueBytes: 12 * 1024,

  batchEntriesMax: 4_096,
  batchBytesMax: 4 * 1024 * 1024,
  batchMillisMax: 50,
  /** So many commands at once are decided in two batches, so that the disk works on one while the other is decided. */
  batchHalvedFrom: 32,
  queueMax: 65_536,
  waitersMax: 10_000,
  rowCacheMax: 65_536,
  /** Rows of sovereign state, and objects with so many characters, that stay in memory. */
  stateCacheMax: 262_144,
  objectCacheMax: 65_536,
  objectCacheChars: 32 * 1024 * 1024,
  recentGrantsMax: 65_536,
  /** Rows in memory while views are rebuilt (the others wait in the store), or compared (in further passes). */
  rebuildRowsMax: 131_072,
  verifyRowsMax: 524_288,

  /** Receipts of requests older than this many entries are dropped, a whole block of 256 at a time. */
  receiptEntries: 2 ** 20,
  /** The same refusal of one actor on one stream is recorded once in this time. */
  refusalRepeatMillis: 10_000,
  /** How many entries a recorded refusal looks back over for its twin. */
  refusalLookBack: 32,

  /** How long a close waits for few files to be left to compact. */
  settleMillisMax: 2_000,
  openWaitSecondsDefault: 30,
  /**
   * Work that takes long holds the ledger for so long at a time, writes so many pairs at once, and lets others have it
   * in between: longer than they pause between two tries.
   */
  sliceMillis: 100,
  slicePairs: 2_048,
  slicePauseMillis: 40,
  filePoolMax: 16,
  fileStepMillisMax: 10_000,
  /** How long reading one small file may take, and the bytes of the small files in `.lockstep`. */
  fileReadMillisMax: 2_000,
  homeFileBytes: 1024 * 1024,
  /** CURRENT of the database, and any other of its files: a table has 2 MiB, a log 4 MiB and one batch. */
  currentFileBytes: 1024,
  databaseFileBytes: 1024 ** 3,
  /** `spare.json` of a workspace lists up to 50,000 paths. */
  spareFileBytes: 64 * 1024 * 1024,
  readPageEntries: 512,
  historyPageMax: 10_000,
  /** The index: entries in one write of it, and how many it may be behind before a resident process catches up. */
  indexWriteEntries: 2_048,
  indexLagEntries: 2_048,
  /**
   * Entries that it reads without a pause, and the pause as long as others append. Where this thread is busier than so,
   * it takes one step in so many entries that are appended.
   */
  indexStepEntries: 256,
  indexPauseMillis: 100,
  indexBusyFrom: 0.5,
  indexBusyEntries: 8_192,
  /** Blocks of 256 entries that one step of a search in it looks through. */
  indexBlocksPerStep: 1_024,
  /** A bundle: entries in it, and the bytes of each of its small files. */
  exportEntriesMax: 4_000_000,
  exportSmallFileBytes: 1024 * 1024,
  /** A line of proofs: 64 hashes in hex at most, and what stands around them. */
  exportProofBytes: 8 * 1024,
} as const
