import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ignoresCase } from '../../disk/layout.ts'
import { turnIdOf, turnNumberOf } from '../../domain/run/turns.ts'
import type { TurnEventData } from '../../domain/turn/events.ts'
import type { Pinned } from '../../domain/turn/pin.ts'
import type { Config } from '../../kernel/config.ts'
import type { Entry } from '../../kernel/entry.ts'
import { OneByOne } from '../../kernel/one-by-one.ts'
import type { Log } from '../../log/log.ts'
import { PastView } from '../../views/past-view.ts'
import { SovereignView } from '../../views/sovereign-view.ts'
import { allFiles, changedFiles, type PromotedTurn } from './changes.ts'
import { sameFiles } from './compare.ts'
import { type Disk, fileName, runPath } from './names.ts'
import {
  bytesInTree,
  currentTree,
  dropEarlier,
  dropLeftovers,
  pinFolder,
  removePin,
  switchTree,
  type Tree,
  workspaceFolders,
  writePin,
} from './tree.ts'

/** The folder of a workspace on disk, and its number of files. */
export interface CheckedFiles {
  folder: string
  files: number
}

type PinOnDisk = Pick<Pinned, 'name' | 'size'>
type Promoted = TurnEventData<'turn.promoted'>

/**
 * Writes promoted state as files: `workspace/run/<run_id>/current` or `workspace/workflow/<workflow_id>/current`
 * (docs/explanation/turns.md). All pending promotions of a workspace are written as one tree. Only one build runs at a time.
 */
export class WorkspaceFiles {
  readonly #root: string
  readonly #settings: () => Config
  readonly #log: Log
  /** Promotions that were read but are not on disk yet, by workspace. Entries were read up to `#seen`. */
  readonly #pending = new Map<string, PromotedTurn[]>()
  #seen: number | undefined
  /** Folders from which the files left by a crash were removed. */
  readonly #cleared = new Set<string>()
  readonly #work = new OneByOne()

  constructor(root: string, settings: () => Config, log: Log) {
    this.#root = root
    this.#settings = settings
    this.#log = log
  }

  /** The folder of a workspace (`run/run_x1` or `workflow/w1`) on disk. */
  folder(workspace: string): string {
    return join(this.#root, this.#settings().workspace_dir, ...workspace.split('/').map(fileName))
  }

  /** The folder of a pin on disk. */
  pinFolder(workspace: string, name: string): string {
    return pinFolder(this.folder(workspace), name)
  }

  /** Writes a promotion and all later ones to the files. Errors: FILE_DENIED, DISK_FULL, FILE_FAILED. */
  follow(entry: Entry): Promise<void> {
    return this.#work.run(() => this.#follow(entry))
  }

  /** Writes or removes the files of a pin. Errors: see `follow`. */
  followPin({ data, type }: Entry): Promise<void> {
    return this.#work.run(() => {
      const { name, workspace } = data as Pinned
      if (type === 'turn.unpinned') return removePin(this.folder(workspace), name)
      return this.#writePin(workspace, data as Pinned)
    })
  }

  async #writePin(workspace: string, { name, size }: PinOnDisk, isAgain = false): Promise<void> {
    const view = await PastView.at(this.#log, size, workspace)
    await writePin(this.folder(workspace), name, { files: allFiles(view, workspace, this.#disk), isAgain })
  }

  /** Writes all files of a workspace and its pins again, from the ledger alone. Errors: see `follow`. */
  rebuild(workspace: string, pins: readonly PinOnDisk[]): Promise<void> {
    return this.#work.run(async () => {
      for (const pin of pins) await this.#writePin(workspace, pin, true)
      const view = await SovereignView.open(this.#log)
      try {
        const folder = this.folder(workspace)
        const seq = Math.max(currentTree(folder)?.seq ?? 0, this.#pending.get(workspace)?.at(-1)?.seq ?? 0)
        await switchTree(folder, { changes: allFiles(view, workspace, this.#disk), isWhole: true, seq })
      } finally {
        await view.close()
      }
    })
  }

  /** Compares the files of a workspace and its pins with the ledger, byte by byte. Errors: VERIFY_FAILED. */
  check(workspace: string, pins: readonly PinOnDisk[]): Promise<CheckedFiles> {
    return this.#work.run(async () => {
      let pinned = 0
      for (const { name, size } of pins) {
        const past = await PastView.at(this.#log, size, workspace)
        const path = this.pinFolder(workspace, name)
        const tree = existsSync(path) ? { path } : undefined
        pinned += await sameFiles(tree, allFiles(past, workspace, this.#disk))
      }
      const view = await SovereignView.open(this.#log)
      try {
        const folder = this.folder(workspace)
        const files = await sameFiles(currentTree(folder), allFiles(view, workspace, this.#disk))
        return { files: files + pinned, folder }
      } finally {
        await view.close()
      }
    })
  }

  /**
   * Removes erased texts from the folders of all workspaces: earlier trees go, and pins that have such a text are
   * written again without it. The current trees have none, because current objects are not erased.
   */
  forget(isErased: HasErased, pins: readonly (PinOnDisk & { workspace: string })[]): Promise<void> {
    return this.#work.run(async () => {
      for (const folder of workspaceFolders(join(this.#root, this.#settings().workspace_dir))) await dropEarlier(folder)
      for (const { name, size, workspace } of pins) {
        if (await isErased(this.pinFolder(workspace, name))) await this.#writePin(workspace, { name, size }, true)
      }
    })
  }

  /** Checked for each tree, because most processes that open a ledger never write one. */
  get #disk(): Disk {
    return { ignoresCase: ignoresCase(this.#root) }
  }

  async #follow(entry: Entry): Promise<void> {
    const { workspace } = entry.data as Promoted
    const tree = await this.#treeOf(workspace)
    if (tree !== undefined && tree.seq >= entry.seq) return
    const view = await SovereignView.open(this.#log)
    try {
      await this.#see(view, entry.seq)
      // Builds other pending workspaces at the same time, so that they share disk syncs. An error of another
      // workspace is ignored here: it occurs again when that workspace's own entry is handled.
      const others = [...this.#pending.keys()].filter((other) => other !== workspace).slice(0, buildsMax - 1)
      const builds = [this.#build(view, workspace, entry.seq), ...others.map((other) => this.#build(view, other))]
      const [own] = await Promise.allSettled(builds)
      if (own?.status === 'rejected') throw own.reason
    } finally {
      await view.close()
    }
  }

  /** Builds the next tree of a workspace from its pending promotions, or from all its state if it has no tree. */
  async #build(view: SovereignView, workspace: string, seqAtLeast = 0): Promise<void> {
    const folder = this.folder(workspace)
    const tree = await this.#treeOf(workspace)
    const promoted = (this.#pending.get(workspace) ?? []).filter(({ seq }) => seq > (tree?.seq ?? -1))
    const seq = promoted.at(-1)?.seq ?? seqAtLeast
    if (tree === undefined || tree.seq < seq) {
      const changes =
        tree === undefined || !(await follows(tree, promoted))
          ? undefined
          : await changedFiles(view, workspace, { current: tree.path, disk: this.#disk, promoted })
      await switchTree(folder, {
        changes: changes ?? allFiles(view, workspace, this.#disk),
        isWhole: changes === undefined,
        seq,
      })
    }
    this.#pending.delete(workspace)
  }

  /** The current tree, after removing files that a crash left beside it. */
  async #treeOf(workspace: string): Promise<Tree | undefined> {
    const folder = this.folder(workspace)
    if (!this.#cleared.has(folder)) await dropLeftovers(folder)
    this.#cleared.add(folder)
    return currentTree(folder)
  }

  /** Reads each entry of the view once, from the first entry that must be handled. */
  async #see(view: SovereignView, from: number): Promise<void> {
    let sliceEnds = performance.now() + sliceMillis
    for await (const page of view.entries(this.#seen ?? from)) {
      for (const { data, seq, type } of page) {
        if (type === 'turn.promoted') this.#keep(seq, data as Promoted)
        this.#seen = seq + 1
      }
      if (performance.now() < sliceEnds) continue
      // Other callers run in between; the entries read are still those of the view.
      await new Promise(setImmediate)
      sliceEnds = performance.now() + sliceMillis
    }
  }

  #keep(seq: number, { manifest_digest, run_id, turn_id, workspace }: Promoted): void {
    const pending = this.#pending.get(workspace) ?? []
    this.#pending.set(workspace, pending)
    pending.push({ manifest_digest, run_id, seq, turn_id })
  }
}

const sliceMillis = 5
const buildsMax = 8

/** Whether a folder has an erased text. */
type HasErased = (folder: string) => Promise<boolean>

/**
 * Whether a tree is the state just before the first of these promotions of each run. It is not if somebody put an
 * older copy back.
 */
async function follows(tree: Tree, promoted: readonly { run_id: string; turn_id: string }[]): Promise<boolean> {
  const firsts = new Map<string, string>()
  for (const { run_id, turn_id } of promoted) if (!firsts.has(run_id)) firsts.set(run_id, turn_id)
  for (const [runId, turnId] of firsts) {
    const expected = turnIdOf((turnNumberOf(turnId) ?? 0) - 1)
    if (((await lastPromotedIn(tree, runId)) ?? turnIdOf(0)) !== expected) return false
  }
  return true
}

async function lastPromotedIn({ path }: Tree, runId: string): Promise<unknown> {
  try {
    return JSON.parse(String(await bytesInTree(path, runPath(runId)))).last_promoted_turn_id
  } catch {
    return undefined
  }
}
