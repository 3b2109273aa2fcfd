import type { FollowedLog } from '../../src/files/runner.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { Key } from '../../src/log/log.ts'

/** An entry of which only its place, stream and type matter. */
function entryAt(seq: number, stream: string, type = 'lock.acquired'): Entry {
  return {
    actor: { actor_id: 'agent-1', actor_type: 'agent' },
    contract_version: 'v1',
    data: {},
    event_id: `evt_test_${seq}`,
    policy_versions: { lanes: 'UNPINNED', roles: 'UNPINNED' },
    prev: { stream: null },
    seq,
    stream,
    time: '2026-01-02T03:04:05.000Z',
    type,
  }
}

/** A log in memory: entries are published by appending them, and it can be closed under its reader. */
export class ListedLog implements FollowedLog {
  readonly entries: Entry[] = []
  readonly #cursor: number
  isClosed = false

  constructor(cursor = 0) {
    this.#cursor = cursor
  }

  append(...streams: string[]): Entry[] {
    const added = streams.map((stream, index) => entryAt(this.entries.length + index, stream))
    this.entries.push(...added)
    return added
  }

  head(): { cursors: Record<string, number>; size: number } {
    return { cursors: new Proxy({}, { get: () => this.#cursor }), size: this.entries.length }
  }

  load(keys: readonly Key[]): unknown[] {
    if (this.isClosed) throw new Error('the database is not open')
    return keys.map(({ key }) => this.entries[Number(key)])
  }
}
