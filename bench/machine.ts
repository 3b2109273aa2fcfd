import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { percentile } from './figures.ts'

/** The machine of a bench. Absolute figures mean nothing without it. */
export interface Machine {
  cpu: string
  cores: number
  file_system: string
  /** One write of 450 bytes and its fdatasync. */
  sync_p50_ms: number
  sync_p99_ms: number
  load_1m: number
  node: string
  commit: string
}

const projectRoot = fileURLToPath(new URL('..', import.meta.url))
const syncSamples = 200
const syncBytes = 450

/** The `statfs` types of common file systems, from Linux's magic.h. */
const fileSystems: Record<number, string> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
  26985: 'nfs',
  16914836: 'tmpfs',
  2240043254: 'ramfs',
}

export function thisMachine(folder: string): Machine {
  const syncs = syncLatencies(folder)
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    file_system: fileSystemOf(folder),
    sync_p50_ms: percentile(syncs, 0.5),
    sync_p99_ms: percentile(syncs, 0.99),
    load_1m: loadavg()[0] ?? 0,
    node: process.version,
    commit: commit(),
  }
}

export function machineLines(machine: Machine): string {
  const { commit, cores, cpu, file_system, load_1m, node, sync_p50_ms, sync_p99_ms } = machine
  return [
    `machine  ${cpu}, ${cores} cores, load ${load_1m.toFixed(1)}`,
    `disk     ${file_system}, fdatasync p50 ${sync_p50_ms.toFixed(3)} ms, p99 ${sync_p99_ms.toFixed(3)} ms`,
    `software Node ${node}, commit ${commit}`,
  ].join('\n')
}

/**
 * A new folder for a bench's ledgers, removed when the process ends: below LOCKSTEP_BENCH_DIR, or else in the temporary
 * folder of the system. If that folder is in memory, where a sync measures nothing, the project's `node_modules/.cache`
 * is used.
 */
export function benchFolder(): string {
  const folder = mkdtempSync(join(parentFolder(), 'lockstep-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  return folder
}

function parentFolder(): string {
  const chosen = process.env.LOCKSTEP_BENCH_DIR
  if (chosen !== undefined) return chosen
  if (!['tmpfs', 'ramfs'].includes(fileSystemOf(tmpdir()))) return tmpdir()
  const cache = join(projectRoot, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  return cache
}

function fileSystemOf(folder: string): string {
  const { type } = statfsSync(folder)
  return fileSystems[type] ?? `0x${type.toString(16)}`
}

function syncLatencies(folder: string): number[] {
  const path = join(folder, 'sync')
  const file = openSync(path, 'w')
  const bytes = Buffer.alloc(syncBytes, 1)
  const millis = Array.from({ length: syncSamples }, () => {
    const started = performance.now()
    writeSync(file, bytes)
    fdatasyncSync(file)
    return performance.now() - started
  })
  closeSync(file)
  rmSync(path)
  return millis
}

function commit(): string {
  const git = (...words: string[]) => execFileSync('git', words, { cwd: projectRoot, encoding: 'utf8' }).trim()
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ', changed'}`
  } catch {
    return 'unknown'
  }
}
