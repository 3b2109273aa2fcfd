import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { lockstep } from '../support/command.ts'
import { endsWithVerify } from '../support/ledger.ts'

const readOnly = suite('a read-only file system')

readOnly('is FILE_READ_ONLY, exit 4, for every command, and is not reported as a defect', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lockstep-read-only-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', root])
  if (status !== 0) return console.log('mounting is not permitted: nothing is read-only')
  try {
    is((await lockstep(['init', root])).status, 0)
    is(spawnSync('mount', ['-o', 'remount,ro', root]).status, 0)
    const acquire = ['lock', 'acquire', 'a', '--holder', 'h']
    for (const words of [['lock', 'list'], ['head'], ['verify'], ['verify', '--rebuild'], acquire]) {
      const { json, status, stdout } = await lockstep(['--dir', root, ...words])
      equal([status, json.code], [4, 'FILE_READ_ONLY'], `${words.join(' ')}: ${stdout}`)
    }
    is(spawnSync('mount', ['-o', 'remount,rw', root]).status, 0)
    await endsWithVerify(root)
  } finally {
    spawnSync('umount', [root])
    rmSync(root, { recursive: true, force: true })
  }
})

readOnly.run()
