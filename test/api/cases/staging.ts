import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal, ok } from 'uvu/assert'
import { type Cases, newName, refused } from '../stage.ts'

export const staging: Cases<'staging'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
  },
  of: {
    folder: {
      'names the folder of a turn': async ({ api, root }) => {
        const { folder } = await api.staging.folder({ run_id: 'run_one_1', turn_id: 'turn-0001' })
        ok(folder.startsWith(root))
        await refused(api.staging.folder({ run_id: '../../up', turn_id: 'turn-0001' }), 'INVALID_INPUT')
      },
    },
    consume: {
      'removes what the turn holds, and again nothing': async ({ api, root }) => {
        const of = { run_id: newName('run_staged'), turn_id: 'turn-0001' }
        await api.runs.create({ run_id: of.run_id, run_kind: 'orchestrator' })
        await api.runs.start({ run_id: of.run_id })
        const directory = newName('staging')
        mkdirSync(join(root, directory))
        await refused(api.staging.consume({ ...of, directory }), 'NOT_FOUND')
        const parts = { body: { dto_type: 'note', id: 'one' }, links: {}, manifest: {} }
        for (const [part, value] of Object.entries(parts))
          writeFileSync(join(root, directory, `one.${part}.json`), JSON.stringify(value))
        writeFileSync(join(root, directory, 'two.body.json'), '{}')
        await api.turns.stage({ ...of, triplets: [{ stem: 'one', ...parts }] })
        equal((await api.staging.consume({ ...of, directory })).files, 3)
        equal(await api.staging.consume({ ...of, directory }), { bytes: 0, files: 0 })
        ok(existsSync(join(root, directory, 'two.body.json')))
      },
    },
  },
}
