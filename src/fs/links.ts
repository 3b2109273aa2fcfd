import { systemCodeOf } from '../errors.ts'

/** Whether an error says that a hard link cannot be made there: no links, too many to one file, or not between disks. */
export function hasNoLinks(error: unknown): boolean {
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'].includes(systemCodeOf(error) ?? '')
}
