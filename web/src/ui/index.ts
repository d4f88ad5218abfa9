// What pages are made of. Nothing here knows a feature or the API.
export { ConfirmByName } from './ConfirmByName';
export { CopyButton, CopyField } from './CopyField';
export { DataTable, type Column, type Sorting } from './DataTable';
export { EmptyState } from './EmptyState';
export { ErrorNotice } from './ErrorNotice';
export { JobProgress } from './JobProgress';
export { Mark } from './Mark';
export { Meter } from './Meter';
export { notifyDone, notifyError } from './notify';
export { PageHeader } from './PageHeader';
export { fieldErrors, sentence } from './problem';
export { RelativeTime, useNow } from './RelativeTime';
export { Section } from './Section';
export { PageSkeleton, RowSkeletons } from './Skeletons';
export { StateBadge } from './StateBadge';
export { useSubmit, type Submit } from './useSubmit';
export { setTitleSuffix, useTitle } from './useTitle';
export { useCommands, type Command } from './commands';
