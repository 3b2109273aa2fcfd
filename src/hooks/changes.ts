import { realpathSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import * as z from 'zod'
import type { LockState } from '../api/shapes/locks.ts'
import { makeFolder, replaceFile } from '../disk/durable.ts'
import { readHint } from '../disk/regular-file.ts'
import { worktreeAround } from '../disk/worktree.ts'
import { cut } from '../kernel/canonical.ts'
import { OneByOne } from '../kernel/one-by-one.ts'
import { printable } from '../kernel/printable.ts'
import { type Activity, isSince } from './activity.ts'
import type { Asked } from './asked.ts'
import { changedIn, commitsSince, headOf, movesOf, type Tree, treeOf } from './git.ts'
import { append } from './records.ts'
import { changedWithoutLock, type Strayed } from './sentences.ts'
import { type Begun, jsonOf } from './sessions.ts'

/** The most changed files that are compared with their locks after one command. */
const comparedMax = 500
const notesCharsMax = 1_000
const rememberedMax = 10_000
const keptMax = 1_000
const keptBytesMax = 1024 * 1024

type After = Asked<'after_tool' | 'session_start'>

interface Look {
  activity: Activity
  /** The call of the tool, if its beginning is known. */
  begun: Begun | undefined
  /** The names of the locks of a file; none if no ledger governs it. */
  namesOf: (path: string) => string[]
}

/**
 * Finds what went past the hooks before an edit: files that a command changed, and commits with files that another agent
 * holds. What it finds is recorded once and told to the model.
 */
export class Changes {
  readonly #file: string
  readonly #trees = new Map<string, Tree | undefined>()
  /** Of hooks that come at once, the first finds the new commits. */
  readonly #queue = new OneByOne()
  /** The last HEAD of every worktree and when it was seen. It is in a file too, for a service that starts anew. */
  readonly #heads: Map<string, Head>
  /** Changes that were told already, by path and time. */
  readonly #told = new Set<string>()

  constructor(folder: string) {
    this.#file = join(folder, 'heads')
    this.#heads = new Map(headsIn(this.#file))
  }

  /** Looks after a tool, or at the start of a session. Returns what the model is told. Cost: one look at a file. */
  async after(asked: After, look: Look): Promise<string | undefined> {
    const { event } = asked
    if (!isInWorktree(event.cwd)) return undefined
    const tree = await this.#treeOf(event.cwd)
    if (tree === undefined) return undefined
    const isShell = event.kind === 'after_tool' && event.tool.kind === 'shell'
    const files = isShell && look.begun !== undefined ? await this.#strayed(asked, tree, look.begun.at, look) : []
    const commits = await this.#queue.run(() => this.#commits(asked, tree, look, isShell))
    if (files.length + commits.length === 0) return undefined
    const key = event.kind === 'after_tool' ? event.tool.id : `start:${Date.now()}`
    if (files.length > 0) await append(asked, `${key}:files`, eventOf('change.unlocked', files.map(named)))
    for (const { commit, strays } of commits) {
      await append(asked, `commit:${commit}`, eventOf('commit.unguarded', [commit, ...strays.map(named)]))
    }
    return changedWithoutLock(
      files,
      commits.flatMap(({ commit, strays }) => strays.map((stray) => ({ ...stray, commit }))),
    )
  }

  /** The files that changed during a command and that the agent does not hold. */
  async #strayed(asked: After, tree: Tree, from: number, look: Look): Promise<Strayed[]> {
    const strays: Strayed[] = []
    for (const path of await changedIn(tree, comparedMax)) {
      const millis = changedAt(path)
      const told = `${path}\n${millis}`
      if (millis === undefined || !isSince(millis, from) || this.#told.has(told)) continue
      const stray = await strayOf(asked, relative(tree.top, path), look.namesOf(path))
      if (stray === undefined || look.activity.was(stray.actor_id, millis, millis)) continue
      strays.push(stray)
      this.#told.add(told)
      const [oldest] = this.#told
      if (this.#told.size > rememberedMax && oldest !== undefined) this.#told.delete(oldest)
    }
    return strays
  }

  /** New commits that change a file which another agent holds. */
  async #commits(asked: After, tree: Tree, look: Look, isShell: boolean): Promise<Committed[]> {
    const before = this.#heads.get(tree.top)
    const moves = movesOf(tree)
    if (before !== undefined && moves === before.moves && (moves !== undefined || !isShell)) return []
    const head = await headOf(tree)
    if (head === undefined) return []
    this.#heads.set(tree.top, { at: Date.now(), head, moves })
    if (head === before?.head) return []
    this.#keepHeads()
    const found: Committed[] = []
    for (const { files, id, millis } of before === undefined ? [] : await commitsSince(tree, before.head, head)) {
      // A commit has its time in whole seconds. An older one was made elsewhere, and HEAD only moved to it.
      if (before === undefined || millis + 999 < before.at) continue
      const strays: Strayed[] = []
      for (const path of files.slice(0, comparedMax)) {
        const stray = await strayOf(asked, relative(tree.top, path), look.namesOf(path))
        if (stray?.holder === undefined || look.activity.was(stray.actor_id, millis, millis + 999)) continue
        strays.push(stray)
      }
      if (strays.length > 0) found.push({ commit: id, strays })
    }
    return found
  }

  #keepHeads(): void {
    const all = [...this.#heads].slice(-keptMax).map(([top, { at, head }]) => [top, { at, head }])
    makeFolder(dirname(this.#file), 0o700)
    replaceFile(this.#file, JSON.stringify(all))
  }

  async #treeOf(cwd: string): Promise<Tree | undefined> {
    if (!this.#trees.has(cwd)) {
      this.#trees.set(cwd, await treeOf(cwd))
      const [oldest] = this.#trees.keys()
      if (this.#trees.size > 1_000 && oldest !== undefined) this.#trees.delete(oldest)
    }
    return this.#trees.get(cwd)
  }
}

/** Whether a folder is in a worktree of Git, without a process. */
function isInWorktree(cwd: string): boolean {
  try {
    return worktreeAround(realpathSync(cwd)) !== undefined
  } catch {
    return false
  }
}

/** Who holds a file that changed, by the names of its locks; undefined if it is the agent, or if no ledger governs it. */
async function strayOf(
  { actor, api }: After,
  path: string,
  [name]: readonly string[],
): Promise<(Strayed & { actor_id: string }) | undefined> {
  if (name === undefined) return undefined
  const { actor_id = '', holder, reason, state }: LockState = await api.locks.status({ name })
  if (state !== 'held') return { actor_id: '', holder: undefined, path, reason: undefined }
  return actor_id === actor.actor_id ? undefined : { actor_id, holder, path, reason }
}

/** When a file changed; if it is gone, when its folder did; undefined if neither can be seen. */
function changedAt(path: string): number | undefined {
  for (const place of [path, dirname(path)]) {
    try {
      return statSync(place).mtimeMs
    } catch {
      // The file was removed.
    }
  }
  return undefined
}

const named = ({ holder, path }: Strayed) => `${path}${holder === undefined ? '' : ` held by ${holder}`}`

function eventOf(operation: string, lines: readonly string[]) {
  const notes = cut(lines.map(printable).join('\n'), notesCharsMax)
  const target = { name: 'files', operation, target_type: 'system' as const }
  return { notes, outcome: 'failure' as const, severity: 'warn' as const, target }
}

interface Committed {
  commit: string
  strays: Strayed[]
}

interface Head {
  /** When it was seen. */
  at: number
  head: string
  moves?: string | undefined
}

const headsSchema = z.array(
  z.tuple([z.string(), z.strictObject({ at: z.number(), head: z.string().regex(/^[0-9a-f]{40,64}$/) })]),
)

function headsIn(file: string): [string, Head][] {
  const { data = [] } = headsSchema.safeParse(jsonOf(readHint(file, keptBytesMax)))
  return data
}
