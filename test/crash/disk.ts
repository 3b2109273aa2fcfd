import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DataChange, NameChange, Node, Recording } from './recording.ts'
import { rootNode } from './recording.ts'

/** A disk in the making, which is written out as a folder once all of its changes have been put in. */
export class Disk {
  readonly #modes: Recording['modes']
  readonly #names = new Map<Node, Map<string, Node>>()
  readonly #data = new Map<Node, DataChange[]>()
  readonly #sizes = new Map<Node, number>()

  constructor({ modes }: Recording) {
    this.#modes = modes
  }

  name({ names }: NameChange): void {
    for (const { folder, name, node } of names) {
      const entries = this.#names.get(folder) ?? new Map<string, Node>()
      this.#names.set(folder, entries)
      if (node === undefined) entries.delete(name)
      else entries.set(name, node)
    }
  }

  write(change: DataChange): void {
    const changes = this.#data.get(change.node) ?? []
    this.#data.set(change.node, changes)
    changes.push(change)
    if (change.bytes === undefined) this.#sizes.set(change.node, change.at)
    else this.grow(change.node, change.at + change.bytes.length)
  }

  /** Makes a file as long, with zeros where nothing was written. */
  grow(node: Node, size: number): void {
    this.#sizes.set(node, Math.max(this.#sizes.get(node) ?? 0, size))
  }

  /** Writes all that is named from the root on below a folder. */
  writeTo(folder: string): void {
    const paths = new Map<Node, string>()
    const modes: [path: string, mode: number][] = []
    const walk = (node: Node, path: string) => {
      for (const [name, child] of this.#names.get(node) ?? []) {
        const { isFolder, mode, target } = this.#modes.get(child) ?? { isFolder: false, mode: 0o600 }
        const at = join(path, name)
        const known = paths.get(child)
        if (target !== undefined) symlinkSync(target, at)
        else if (known !== undefined) linkSync(known, at)
        else {
          if (isFolder) mkdirSync(at)
          else writeFileSync(at, this.#bytesOf(child))
          modes.push([at, mode])
        }
        paths.set(child, at)
        if (isFolder) walk(child, at)
      }
    }
    walk(rootNode, folder)
    // Last, so that no folder keeps its own files out.
    for (const [path, mode] of modes.reverse()) chmodSync(path, mode & 0o777)
  }

  #bytesOf(node: Node): Uint8Array {
    const changes = this.#data.get(node) ?? []
    const end = Math.max(0, ...changes.map(({ at, bytes }) => at + (bytes?.length ?? 0)), this.#sizes.get(node) ?? 0)
    const bytes = new Uint8Array(end)
    for (const change of changes) {
      if (change.bytes === undefined) bytes.fill(0, change.at)
      else bytes.set(change.bytes, change.at)
    }
    return bytes.subarray(0, this.#sizes.get(node) ?? 0)
  }
}
