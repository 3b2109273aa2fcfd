import type { Api } from './api.ts'
import type { Kind } from './operation.ts'

/** Whether a method returns a promise or a stream. Only the table distinguishes commands from queries. */
type KindOf<Method> = Method extends (...words: never[]) => Promise<unknown> ? Exclude<Kind, 'stream'> : 'stream'

/** The kinds of all operations, by noun and verb. */
export type Kinds = {
  readonly [Noun in keyof Api]: { readonly [Verb in keyof Api[Noun]]: KindOf<Api[Noun][Verb]> }
}

/**
 * The kind of every operation: all that a client or a short-lived command needs to make a call. This module imports
 * nothing at run time, so it does not slow down start-up. The schemas are in the tables.
 */
export const kinds: Kinds = {
  audit: { append: 'command', entries: 'query', list: 'query' },
  clock: { reset: 'command' },
  config: { check: 'query', reload: 'command', show: 'query' },
  erasures: { preview: 'query', approve: 'command', erase: 'command' },
  exports: { approve: 'command', create: 'command', get: 'query' },
  head: { get: 'query', signed: 'query' },
  keys: { adopt: 'command', list: 'query', retire: 'command', rotate: 'command' },
  locks: {
    acquire: 'command',
    acquireAll: 'command',
    break: 'command',
    check: 'query',
    history: 'query',
    importFile: 'command',
    list: 'query',
    recover: 'command',
    release: 'command',
    renew: 'command',
    retire: 'command',
    status: 'query',
    unknownFiles: 'query',
  },
  log: {
    backup: 'command',
    consistency: 'query',
    entry: 'query',
    prove: 'query',
    read: 'stream',
    seal: 'command',
    subscribe: 'stream',
    verify: 'query',
  },
  policy: { check: 'query', explain: 'query', reload: 'command', show: 'query' },
  retention: { hold: 'command', lift: 'command', show: 'query', sweep: 'command' },
  runs: {
    authorize: 'command',
    cancel: 'command',
    cancelTree: 'command',
    complete: 'command',
    create: 'command',
    deny: 'command',
    fail: 'command',
    get: 'query',
    heartbeat: 'command',
    list: 'query',
    record: 'command',
    recover: 'command',
    retry: 'command',
    start: 'command',
    tree: 'query',
    why: 'query',
  },
  staging: { consume: 'command', folder: 'query' },
  tokens: { create: 'command', list: 'query', revoke: 'command' },
  turns: {
    apply: 'command',
    get: 'query',
    list: 'query',
    promote: 'command',
    reject: 'command',
    stage: 'command',
    validate: 'command',
  },
  workspaces: {
    check: 'command',
    digest: 'query',
    files: 'query',
    object: 'query',
    pin: 'command',
    pins: 'query',
    refs: 'stream',
    stem: 'query',
    triplets: 'stream',
    unpin: 'command',
  },
}
