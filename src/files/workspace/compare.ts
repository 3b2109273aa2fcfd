import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError } from '../../disk/durable.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import type { TreeChange } from './build.ts'
import { bytesInTree, type Tree } from './tree.ts'

const differencesMax = 100

/**
 * Compares a tree with the files that it should have, and returns their number.
 * Errors: VERIFY_FAILED with as many missing, changed and extra paths as fit; FILE_DENIED, FILE_FAILED.
 */
export async function sameFiles(
  tree: Pick<Tree, 'path'> | undefined,
  files: AsyncIterable<TreeChange>,
): Promise<number> {
  const differences: { path: string; is: 'changed' | 'missing' | 'stray' }[] = []
  const expected = new Set<string>()
  for await (const { content, path } of files) {
    expected.add(path)
    const found = tree && (await bytesOf(tree.path, path))
    if (found === undefined) differences.push({ path, is: 'missing' })
    else if (found === 'no file' || !found.equals(content ?? Buffer.alloc(0))) differences.push({ path, is: 'changed' })
  }
  for (const path of tree === undefined ? [] : await pathsIn(tree)) {
    if (!expected.has(path)) differences.push({ path, is: 'stray' })
  }
  if (differences.length === 0) return expected.size
  const [first] = differences
  throw new LockstepError(
    'VERIFY_FAILED',
    `${differences.length} files of the workspace differ, for example ${first?.path}`,
    {
      details: { check: 'workspace', count: differences.length, differences: differences.slice(0, differencesMax) },
      hint: 'The ledger still holds the promoted state. Run "lockstep stem check --rebuild" to write the files again.',
    },
  )
}

async function bytesOf(tree: string, path: string): Promise<Buffer | 'no file' | undefined> {
  try {
    return (await bytesInTree(tree, path)) ?? 'no file'
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP'].includes(systemCodeOf(error) ?? '')) return undefined
    throw fileError(error, `reading ${join(tree, path)}`)
  }
}

/** The paths of everything in a tree except folders, relative to the tree. */
async function pathsIn({ path }: Pick<Tree, 'path'>): Promise<string[]> {
  const paths: string[] = []
  const below = ['']
  for (let at = 0; at < below.length; at += 1) {
    const folder = below[at] ?? ''
    for (const entry of await readdir(join(path, folder), { withFileTypes: true })) {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) below.push(name)
      else paths.push(name)
    }
  }
  return paths.sort()
}
