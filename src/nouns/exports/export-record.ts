import { readTextFile } from '../../disk/regular-file.ts'
import { type ExportManifest, exportBundleSchema, recordTextOf } from '../../domain/export/bundle.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { failed, parsed } from './export-lines.ts'

/** What only the record beside an archive says. No signature covers it. */
export interface CheckedRecord {
  export_reason: string | null
  file: string
  package_locator: string
}

/**
 * Compares the record beside an archive with the bundle, and returns what the record says besides. Undefined if there is
 * none. Errors: VERIFY_FAILED (`record`), FILE_DENIED.
 */
export function checkRecord(
  archive: string,
  manifest: ExportManifest,
  hashes: { manifest_hash_sha256: string; package_hash_sha256: string },
): CheckedRecord | undefined {
  const file = `${archive}.json`
  const text = readTextFile(file, limits.exportSmallFileBytes, (is) => failed('record', `${file} ${is}`))
  if (text === undefined) return undefined
  const record = exportBundleSchema.safeParse(parsed(text)).data
  if (record === undefined) throw failed('record', `${file} is not an export_bundle of Contract v1`)
  const { export_reason, integrity } = record
  const { package_locator } = integrity
  const expected = { ...manifest, ...given({ export_reason }), integrity: { ...hashes, package_locator } }
  if (recordTextOf(expected) !== text) throw failed('record', `${file} is not the record of this bundle`)
  return { export_reason: export_reason ?? null, file, package_locator }
}
