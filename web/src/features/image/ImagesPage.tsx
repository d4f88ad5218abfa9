import { Button } from '@mantine/core';
import { IconPlus, IconStack2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { keys, list, useCan } from '@/api';
import { t } from '@/text';
import { DataTable, EmptyState, Filters, PageHeader, Pager, RelativeTime, SearchField, Section, useFilters } from '@/ui';

export default function ImagesPage() {
  const [, go] = useLocation();
  const may = useCan()('images.write');
  const filters = useFilters('search');
  const query = { page: filters.page, limit: 50, search: filters.values.search };
  const images = useQuery({ queryKey: keys.images('list', query), queryFn: ({ signal }) => list('/api/v1/images', { query, signal }), placeholderData: (before) => before });
  const add = may && (
    <Button component={Link} href="/images/new" variant="filled" leftSection={<IconPlus size={16} />}>
      {t('image.add')}
    </Button>
  );
  return (
    <>
      <PageHeader title={t('image.title')} actions={add} />
      <Section flush>
        <Filters>
          <SearchField value={filters.values.search} onChange={(to) => filters.set('search', to)} />
        </Filters>
        <DataTable
          label={t('image.title')}
          rows={images.data?.items}
          error={images.error}
          retry={() => void images.refetch()}
          rowKey={(image) => image.id}
          onRow={(image) => go(`/images/${image.id}`)}
          empty={
            filters.any ? undefined : (
              <EmptyState icon={IconStack2} title={t('image.empty')} action={add}>
                {t('image.emptyHint')}
              </EmptyState>
            )
          }
          columns={[
            { key: 'name', title: t('common.name'), cell: (image) => <Link href={`/images/${image.id}`}>{image.name}</Link> },
            { key: 'description', title: t('image.description'), wide: true, cell: (image) => <span className="quiet">{image.description}</span> },
            { key: 'reference', title: t('image.reference'), wide: true, cell: (image) => <span className="mono">{image.references?.[0]}</span> },
            { key: 'changed', title: t('common.changed'), end: true, cell: (image) => <RelativeTime at={image.updated_at} /> },
          ]}
        />
        {images.data && <Pager {...images.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}
