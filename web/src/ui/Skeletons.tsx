import { Skeleton } from '@mantine/core';

/** Rows of a table that isn't there yet, as high as they will be. */
export function RowSkeletons({ rows = 6 }: { rows?: number }) {
  return (
    <div aria-busy="true">
      {Array.from({ length: rows }, (_, i) => (
        <Skeleton key={i} height="calc(var(--row) - 8px)" my={4} radius="sm" />
      ))}
    </div>
  );
}

/** A page that isn't there yet. */
export function PageSkeleton() {
  return (
    <div aria-busy="true">
      <Skeleton height={32} width="14rem" mb="md" />
      <Skeleton height={280} radius="md" />
    </div>
  );
}
