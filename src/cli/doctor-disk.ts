import { statfsSync } from 'node:fs'
import type { Layout } from '../disk/layout.ts'
import { Warning } from './warning.ts'

/** Network file systems by their type number, from statfs(2). */
const networkFileSystems: Record<number, string> = {
  26985: 'NFS',
  16914839: '9p',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  1702057286: 'FUSE, possibly over a network',
}
/** What kind of file system the root is on. */
export function fileSystemFinding({ root }: Layout): string {
  const type = statfsSync(root).type
  const network = networkFileSystems[type]
  if (network !== undefined) throw new Warning(`${network}: locks and syncs over a network depend on the file server`)
  return `local (type 0x${type.toString(16)})`
}
