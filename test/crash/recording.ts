import { dirname, relative } from 'node:path'

/** A file or folder, however it is named and whether it is named at all. */
export type Node = number

/** The root folder. */
export const rootNode: Node = 0

/** A change of a file's bytes: some of them from a place on, or a new length. */
export interface DataChange {
  at: number
  node: Node
  bytes: Uint8Array | undefined
}

/** Names in folders that come to stand for a file or folder, or for nothing, all at once. */
export interface NameChange {
  nodes: Node[]
  names: { folder: Node; name: string; node: Node | undefined }[]
}

/** One event of a recording; its index is its place in time. */
export type Event =
  | { is: 'data'; change: DataChange }
  | { is: 'names'; change: NameChange }
  /** A sync begins, or has ended; what was written in between need not be part of it. */
  | { is: 'sync' | 'synced'; node: Node }
  | { is: 'said'; text: string }

/** A recording: what happened, in its order, and what files and folders there were. */
export interface Recording {
  events: Event[]
  modes: Map<Node, { isFolder: boolean; mode: number; target?: string }>
}

interface Line {
  kind: string
  inode: string
  at: number
  one: string
  two: string
  bytes: Uint8Array
}

/** Reads what `system-calls.c` recorded below a folder that was empty at first. */
export function readRecording(recorded: Uint8Array, folder: string): Recording {
  const reader = new Reader(folder)
  for (const line of linesOf(Buffer.from(recorded))) reader.read(line)
  return { events: reader.events, modes: reader.modes }
}

function* linesOf(recorded: Buffer): Generator<Line> {
  for (let from = 0; from < recorded.length; ) {
    const end = recorded.indexOf('\n', from)
    const [kind = '', inode = '', at, first, second, third] = recorded.toString('latin1', from, end).split(' ')
    const starts = [end + 1]
    for (const length of [first, second, third]) starts.push((starts.at(-1) ?? 0) + Number(length))
    const [one, two, bytes] = [0, 1, 2].map((part) => recorded.subarray(starts[part], starts[part + 1]))
    yield { kind, inode, at: Number(at), one: String(one), two: String(two), bytes: bytes ?? Buffer.alloc(0) }
    from = (starts[3] ?? 0) + 1
  }
}

/** Follows names and inodes as they change, so that each event tells of a file and not of a name. */
class Reader {
  readonly events: Event[] = []
  readonly modes: Recording['modes'] = new Map([[rootNode, { isFolder: true, mode: 0o755 }]])
  readonly #folder: string
  readonly #names = new Map<Node, Map<string, Node>>([[rootNode, new Map()]])
  /** The file that has an inode now: the numbers are used again. */
  readonly #byInode = new Map<string, Node>()

  constructor(folder: string) {
    this.#folder = folder
  }

  read({ at, bytes, inode, kind, one, two }: Line): void {
    const makings: Record<string, () => void> = {
      create: () => this.#name(one, this.#made(inode, { isFolder: false, mode: at & ~0o022 })),
      mkdir: () => this.#name(one, this.#made(inode, { isFolder: true, mode: at & ~0o022 })),
      symlink: () => this.#name(two, this.#made(inode, { isFolder: false, mode: 0, target: one })),
      link: () => this.#name(two, this.#nodeAt(one)),
      unlink: () => this.#name(one, undefined),
      rmdir: () => this.#name(one, undefined),
      rename: () => this.#rename(one, two),
      chmod: () => this.#chmod(this.#nodeAt(one), at),
      write: () => this.#data(inode, { at, bytes }),
      truncate: () => this.#data(inode, { at, bytes: undefined }),
      sync: () => this.events.push({ is: 'sync', node: this.#nodeAt(one, inode) }),
      synced: () => this.events.push({ is: 'synced', node: this.#nodeAt(one, inode) }),
      said: () => this.events.push({ is: 'said', text: Buffer.from(bytes).toString('utf8') }),
    }
    const making = makings[kind]
    if (making === undefined) throw new Error(`the recording has an unknown kind: ${kind}`)
    making()
  }

  #made(inode: string, mode: { isFolder: boolean; mode: number; target?: string }): Node {
    const node = this.modes.size
    this.modes.set(node, mode)
    this.#byInode.set(inode, node)
    if (mode.isFolder) this.#names.set(node, new Map())
    return node
  }

  #name(path: string, node: Node | undefined): void {
    const [folder, name] = this.#placeOf(path)
    const before = this.#names.get(folder)?.get(name)
    this.#change([{ folder, name, node }], [before, node])
  }

  #rename(from: string, to: string): void {
    const node = this.#nodeAt(from)
    const [[folder, name], [toFolder, toName]] = [this.#placeOf(from), this.#placeOf(to)]
    this.#change(
      [
        { folder, name, node: undefined },
        { folder: toFolder, name: toName, node },
      ],
      [node],
    )
  }

  #change(names: NameChange['names'], nodes: (Node | undefined)[]): void {
    for (const { folder, name, node } of names) {
      if (node === undefined) this.#names.get(folder)?.delete(name)
      else this.#names.get(folder)?.set(name, node)
    }
    this.events.push({ is: 'names', change: { names, nodes: nodes.filter((node) => node !== undefined) } })
  }

  #chmod(node: Node, mode: number): void {
    const before = this.modes.get(node)
    if (before !== undefined) this.modes.set(node, { ...before, mode })
  }

  #data(inode: string, change: Omit<DataChange, 'node'>): void {
    const node = this.#byInode.get(inode)
    if (node === undefined) throw new Error(`a file was written that was never made: inode ${inode}`)
    this.events.push({ is: 'data', change: { ...change, node } })
  }

  #nodeAt(path: string, inode?: string): Node {
    if (path === this.#folder) return rootNode
    const known = inode === undefined ? undefined : this.#byInode.get(inode)
    if (known !== undefined) return known
    const [folder, name] = this.#placeOf(path)
    const node = this.#names.get(folder)?.get(name)
    if (node === undefined) throw new Error(`the recording has no ${path}`)
    return node
  }

  #placeOf(path: string): [folder: Node, name: string] {
    const folder = dirname(path)
    return [this.#nodeAt(folder), relative(folder, path)]
  }
}
