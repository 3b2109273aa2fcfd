import { serviceLimits } from './service-limits.ts'
import { toolLimits } from './tool-limits.ts'

/** Every limit of Lockstep in one place. Each name ends in its unit. Each limit is checked where data enters. */
export const limits = {
  /** An entry in canonical form. */
  entryBytes: 32 * 1024,
  /** Names of resources, holders and actors, in UTF-8 bytes. */
  nameBytes: 200,
  /** A lock's full name with its kind. The longest has `project:` and three words of 80. */
  lockNameBytes: 250,
  /** A path in the name of a lock, after `path:`. */
  lockPathBytes: 245,
  /** Free text: reasons and notes, in UTF-16 code units. */
  reasonChars: 2_000,
  pathBytes: 4_096,
  requestKeyBytes: 200,
  /** A JSON document that the command reads from an argument, a file or one line of stdin. */
  documentBytes: 256 * 1024,
  /** The size of a policy file, and the number of lanes, roles or names in one of its lists. */
  policyFileBytes: 256 * 1024,
  policyListMax: 500,
  /** The nesting depth of a policy file: every list, map and flow collection counts. */
  policyDepthMax: 32,
  /** The size of both policy texts in JSON, up to which the entry contains them. */
  policyInlineBytes: 24 * 1024,
  /** A tool's request whose hash is recorded: its RFC 8785 text in UTF-16 code units, and its nesting depth. */
  requestChars: 16 * 1024 * 1024,
  requestDepthMax: 64,
  /** A lock file or RUN_LOCK.json that another tool wrote. */
  lockFileBytes: 64 * 1024,
  /** The files by which Git finds the repository of a worktree. */
  gitFileBytes: 16 * 1024,
  /** What Git says about a worktree, and the changed files that are compared with locks. */
  gitOutputBytes: 64 * 1024 * 1024,
  changedFilesMax: 10_000,
  /** The paths that one list of locks asks about. */
  pathsListed: 1_000,
  /** The folders whose ledger and worktree are remembered. */
  surroundingsMax: 4_096,
  /** A file that is moved aside whole, and the folders that are searched for lock files. */
  asideFileBytes: 16 * 1024 * 1024,
  foldersSearchedMax: 200_000,

  leaseSecondsDefault: 1_800,
  resourceLeaseSecondsMin: 1,
  resourceLeaseSecondsMax: 86_400,
  deliverableLeaseSecondsMin: 60,
  deliverableLeaseSecondsMax: 3_600,
  waitSecondsMax: 86_400,
  evidenceMax: 4,
  releaseConditionsMax: 16,
  locksPerRequestMax: 256,
  /** The paths of one grant, the shared grants of one path, and the orphans that one acquisition of paths recovers. */
  pathsPerGrantMax: 64,
  sharedGrantsMax: 256,
  /** The places of paths whose keys are kept. */
  knownPlacesMax: 16_384,
  orphansPerAcquireMax: 1_024,
  auditEventsPerRequestMax: 1_000,
  /** The runs above a run, the unrecorded allowed actions of a run, and the output artifacts of a run. */
  runDepthMax: 64,
  runOpenActionsMax: 100,
  runOutputsMax: 100,
  runListMax: 1_000,
  /** The runs of a tree that one append is asked to cancel, and the number of events from which it takes no more runs. */
  runTreePage: 256,
  runTreeEventsMin: 512,

  /** The roles of a token, the longest time until it expires (ten years), and the tokens on one page of a list. */
  tokenRolesMax: 100,
  tokenSecondsMax: 10 * 365 * 86_400,
  tokenListMax: 1_000,

  /**
   * A turn: one of its objects, all of its objects, its stems, and their refs. The configuration can change some of
   * them.
   */
  turnObjectBytes: 1024 * 1024,
  turnBytes: 64 * 1024 * 1024,
  turnStemsMax: 10_000,
  turnRefsMax: 100_000,
  turnBytesMax: 256 * 1024 * 1024,
  turnStemsMaxMax: 100_000,
  turnRefsMaxMax: 1_000_000,
  stemBytes: 512,
  /** The type, id and relationship of an identity or ref, and a key of links. */
  identityBytes: 512,
  jsonDepthMax: 64,
  /** The reported problems of one object, and the issues of one turn. */
  jsonProblemsMax: 100,
  turnIssuesMax: 10_000,
  turnListMax: 10_000,
  /** Pins of one workspace. */
  pinsMax: 100,
  /** The issues that an entry lists. A longer list is stored as an object that the entry names. */
  turnIssueBytes: 12 * 1024,

  batchEntriesMax: 4_096,
  batchBytesMax: 4 * 1024 * 1024,
  batchMillisMax: 50,
  /**
   * From this number on, waiting commands are decided in two batches, so that one is written while the other is
   * decided.
   */
  batchHalvedFrom: 32,
  queueMax: 65_536,
  waitersMax: 10_000,
  rowCacheMax: 65_536,
  entryCacheMax: 1_024,
  /** The cached rows of sovereign state, and the characters of cached objects. */
  stateCacheMax: 262_144,
  objectCacheMax: 65_536,
  objectCacheChars: 32 * 1024 * 1024,
  recentGrantsMax: 65_536,
  /**
   * The rows in memory while views are rebuilt or compared. A rebuild keeps other rows in the store; a comparison makes
   * further passes.
   */
  rebuildRowsMax: 131_072,
  verifyRowsMax: 524_288,

  /** Receipts of requests older than this many entries are dropped, a whole block of 256 at a time. */
  receiptEntries: 2 ** 20,
  /** Within this time, equal refusals are recorded only once, and then counted. */
  refusalRepeatMillis: 10_000,
  /** An actor’s refusals on record within a minute. Any further ones are counted in one entry. */
  refusalsPerMinute: 60,
  /** The recorded refusals whose repetitions are counted, and the actors that have limits of their own. */
  refusalWindowsMax: 4_096,
  refusalActorsMax: 1_024,

  /** How long a close waits until few files are left to compact. */
  settleMillisMax: 2_000,
  /** How long a close waits for the signature of the newest head, and a copy for a signed head that covers a size. */
  closeSignMillisMax: 2_000,
  coveringHeadMillisMax: 3_000,
  openWaitSecondsDefault: 30,
  /** A command holds the ledger for milliseconds. A reader waits this long, then reads a copy of the database. */
  besideMillis: 1_000,
  /**
   * Long work holds the ledger for this long at a time, writes this many pairs at once, and then releases the ledger.
   * The release is longer than the pause between two tries of other processes.
   */
  sliceMillis: 100,
  slicePairs: 2_048,
  slicePauseMillis: 40,
  /** How often, and after which pause, the files are written again until nothing of an erased text is left. */
  purgeAttempts: 4,
  purgePauseMillis: 100,
  /** How long this rests after each slice of work on this thread, so that appends go on. */
  purgeRestMillis: 20,
  /** What one entry erases, the objects that one pass over the entries can find due, and the texts of one approval. */
  erasedPerEntry: 256,
  retentionDueMax: 131_072,
  erasedTextsMax: 4_096,
  /** The legal holds that are in force at once. */
  holdsMax: 100,
  filePoolMax: 16,
  fileStepMillisMax: 10_000,
  /** How long reading one small file may take, and the bytes of the small files in `.lockstep`. */
  fileReadMillisMax: 2_000,
  homeFileBytes: 1024 * 1024,
  /** The keys that a ledger can have had, a signed statement about one, and a checkpoint that was kept elsewhere. */
  keysMax: 500,
  keyStatementChars: 4_000,
  keptCheckpointChars: 8_000,
  /** The command that signs: how long it may take, the bytes of its answer, and its words. */
  signerMillisMax: 10_000,
  signerAnswerBytes: 1_024,
  signerWordsMax: 20,
  /** The file CURRENT of the database, and its other files: a table has 2 MiB, a log has 4 MiB and one batch. */
  currentFileBytes: 1024,
  databaseFileBytes: 1024 ** 3,
  /** `spare.json` of a workspace lists up to 50,000 paths. */
  spareFileBytes: 64 * 1024 * 1024,
  readPageEntries: 512,
  historyPageMax: 10_000,
  /** The index: the entries in one write, and how many entries it may lag before a resident process catches up. */
  indexWriteEntries: 2_048,
  indexLagEntries: 2_048,
  /**
   * The entries that the index reads without a pause, and the length of the pause while others append. If this thread
   * is too busy for that, the index takes one step for every such number of appended entries.
   */
  indexStepEntries: 256,
  indexPauseMillis: 100,
  indexBusyFrom: 0.5,
  indexBusyEntries: 8_192,
  /** The blocks of 256 entries that one step of a search in the index reads. */
  indexBlocksPerStep: 1_024,
  /** A bundle: its entries, and the bytes of each of its small files. */
  exportEntriesMax: 4_000_000,
  exportSmallFileBytes: 1024 * 1024,
  /** A line of proofs: at most 64 hashes in hex, the free texts of an entry with their salts, and the text around them. */
  exportProofBytes: 256 * 1024,

  /** How long a shell waits for names of locks or runs, and how many of each it is offered. */
  completionMillis: 300,
  completionNamesMax: 1_000,
  ...serviceLimits,
  ...toolLimits,
} as const
