import { relative } from 'node:path'
import type { LockEventData } from '../../domain/lock/events.ts'
import { endedFile, lockedFile, type RunLock } from '../../domain/lock/run-lock-file.ts'
import type { Config } from '../../kernel/config.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Check } from '../../log/check.ts'
import { type FoundRunLock, findRunLocks, isSameRunLock } from './run-lock-files.ts'

/** The expected file of a run. */
interface Expected {
  content: RunLock
  /** The stream of the lock that the run still holds, according to the entries. */
  holds: string | undefined
  /** The file existed before the ledger knew of it, so only its status and run are checked. */
  isForeign: boolean
}

/** Returns the seqs of the newest entries of some streams, as of now. */
export type LastSeqs = (streams: readonly string[]) => Promise<ReadonlyMap<string, number | undefined>>

const warningsMax = 100

/**
 * Compares every RUN_LOCK.json with the ledger (lock-protocol.md, project run locks). A difference is only a warning:
 * the file follows the ledger, and a file edited by hand is never overwritten.
 */
export class RunLockComparison implements Check {
  readonly #root: string
  readonly #config: Config
  readonly #expected = new Map<string, Expected>()
  /** The current grant of each project, to find the grant that an entry ends. */
  readonly #grants = new Map<string, LockEventData<'lock.acquired'>>()
  readonly #lastSeqs = new Map<string, number>()

  constructor(root: string, config: Config) {
    this.#root = root
    this.#config = config
  }

  entry(entry: Entry): void {
    const { seq, stream, type } = entry
    if (!stream.startsWith('lock/project:')) return
    this.#lastSeqs.set(stream, seq)
    if (type === 'lock.acquired') {
      const grant = entry.data as LockEventData<'lock.acquired'>
      this.#grants.set(stream, grant)
      this.#expect(grant, { content: lockedFile(grant), holds: stream, isForeign: grant.source === 'import' })
    } else if (type === 'lock.released' || type === 'lock.broken') {
      const grant = this.#grants.get(stream)
      if (grant === undefined) return
      const content = endedFile(grant, entry, this.#config.release_authority)
      const isForeign = entry.data.evidence === 'run_file'
      this.#expect(grant, { content, holds: undefined, isForeign })
      this.#grants.delete(stream)
    }
  }

  /**
   * A warning per differing file. `lastSeqsNow` returns the newest seqs of streams, so that locks that changed
   * meanwhile are skipped.
   */
  async warnings(lastSeqsNow: LastSeqs): Promise<string[]> {
    const found = this.#found()
    const held = new Set(found.flatMap(({ holds = [] }) => holds))
    const lastSeqs = held.size === 0 ? new Map() : await lastSeqsNow([...held])
    const isAsRead = (stream: string) => lastSeqs.get(stream) === this.#lastSeqs.get(stream)
    const warnings = found.filter(({ holds }) => holds === undefined || isAsRead(holds)).map(({ warning }) => warning)
    const more = warnings.length - warningsMax
    return more > 0 ? [...warnings.slice(0, warningsMax), `${more} more files differ from the ledger`] : warnings
  }

  #found(): { holds: string | undefined; warning: string }[] {
    if (this.#expected.size === 0) return []
    const found = new Map<string, FoundRunLock>()
    for (const file of findRunLocks(this.#root, this.#config)) {
      if (!found.has(file.run_id)) found.set(file.run_id, file)
    }
    return [...this.#expected].flatMap(([runId, expected]) => {
      const warning = judge(runId, expected, found.get(runId), this.#root)
      return warning === undefined ? [] : [{ holds: expected.holds, warning }]
    })
  }

  #expect(grant: LockEventData<'lock.acquired'>, expected: Expected): void {
    this.#expected.set(grant.run_id ?? '', expected)
  }
}

/** The file of an ended run may have been archived with its folder. The file of a held lock must exist. */
function judge(runId: string, expected: Expected, file: FoundRunLock | undefined, root: string): string | undefined {
  if (file === undefined) {
    return expected.holds === undefined ? undefined : `RUN_LOCK.json of ${runId} is missing, but its lock is held`
  }
  const path = relative(root, file.path)
  const { content } = file
  if (content === undefined) return `${path} is not a valid RUN_LOCK.json`
  const { status } = expected.content
  if (content.status !== status) return `${path} says ${content.status}, the ledger says ${status}`
  const isAsExpected = expected.isForeign ? content.run_id === runId : isSameRunLock(content, expected.content)
  return isAsExpected ? undefined : `${path} was edited: it differs from the ledger’s record of its lock`
}
