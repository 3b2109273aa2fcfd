import { spawnSync } from 'node:child_process'
import { cpSync, lchownSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../runner.ts'
import { temporaryRoot } from './ledger.ts'

const dists = new Map<number, string>()

/** Whether a user can run Node and read what is at a path; the folders above it may be closed to them. */
export function canReach(uid: number, path: string): boolean {
  const look = `require('fs').accessSync(${JSON.stringify(path)}, require('fs').constants.R_OK)`
  return spawnSync(process.execPath, ['-e', look], { cwd: '/', uid, gid: uid, stdio: 'ignore' }).status === 0
}

/** A build of the product that a user can read: itself, or a copy with the packages that it needs. */
export function distFor(uid: number, dist: string): string {
  const known = dists.get(uid)
  if (known !== undefined) return known
  const found = canReach(uid, dist) ? dist : join(copyOf(dist), 'dist')
  dists.set(uid, found)
  return found
}

/** Gives everything below a folder to a user. Needs root. */
export function give(path: string, uid: number): void {
  lchownSync(path, uid, uid)
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) give(join(path, name), uid)
}

function copyOf(dist: string): string {
  const to = temporaryRoot()
  for (const name of ['package.json', 'contract']) cpSync(join(root, name), join(to, name), { recursive: true })
  cpSync(dist, join(to, 'dist'), { recursive: true })
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>
  }
  for (const [path, { dev, optional }] of Object.entries(lock.packages)) {
    const isNeeded = path.startsWith('node_modules/') && dev !== true
    if (!isNeeded) continue
    try {
      cpSync(join(root, path), join(to, path), { recursive: true, dereference: true })
    } catch (error) {
      if (optional !== true) throw error
    }
  }
  const { status } = spawnSync('chmod', ['-R', 'a+rX', to])
  if (status !== 0) throw new Error(`${to} cannot be opened to other users`)
  return to
}
