import { Button } from '@mantine/core';
import { IconFileImport, IconPlus, IconStack2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { keys, list, useCan, type View } from '@/api';
import { ImageIcon } from '@/parts';
import { t, tAny } from '@/text';
import { DataTable, EmptyState, Filters, PageHeader, Pager, RelativeTime, SearchField, Section, useCommands, useFilters } from '@/ui';
import css from './image.module.css';

export default function ImagesPage() {
  const [, go] = useLocation();
  const may = useCan()('images.write');
  const filters = useFilters('search');
  const query = { page: filters.page, limit: 50, search: filters.values.search, sort: 'name' as const };
  const images = useQuery({ queryKey: keys.images('list', query), queryFn: ({ signal }) => list('/api/v1/images', { query, signal }), placeholderData: (before) => before });
  useCommands(
    may
      ? [
          { id: 'image.import', label: t('image.importTitle'), icon: IconFileImport, run: () => go('/images/import') },
          { id: 'image.add', label: t('image.add'), icon: IconPlus, run: () => go('/images/new') },
        ]
      : [],
  );
  const add = may && (
    <>
      <Button component={Link} href="/images/new" leftSection={<IconPlus size={16} aria-hidden />}>
        {t('image.add')}
      </Button>
      <Button component={Link} href="/images/import" variant="filled" leftSection={<IconFileImport size={16} aria-hidden />}>
        {t('image.import')}
      </Button>
    </>
  );
  return (
    <>
      <PageHeader title={t('image.title')} actions={add} />
      <Section flush>
        <Filters>
          <SearchField placeholder={t('image.searchHint')} value={filters.values.search} onChange={(to) => filters.set('search', to)} />
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
            { key: 'name', title: t('common.name'), cell: (image) => <Name image={image} /> },
            { key: 'tags', title: t('image.tags'), wide: true, width: '16%', cell: (image) => <Tags of={image.tags ?? []} choose={(tag) => filters.set('search', tag)} /> },
            { key: 'source', title: t('image.source'), wide: true, width: '10rem', cell: (image) => <span className="quiet">{image.source ? tAny(`image.format_${image.source.format}`, image.source.format) : t('image.sourceOwn')}</span> },
            { key: 'changed', title: t('common.changed'), end: true, width: '9rem', cell: (image) => <RelativeTime at={image.updated_at} /> },
          ]}
        />
        {images.data && <Pager {...images.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}

function Name({ image }: { image: View<'ImageView'> }) {
  return (
    <div className={css.name}>
      <ImageIcon image={image} />
      <div>
        <Link href={`/images/${image.id}`}>{image.name}</Link>
        <div className={css.about}>{image.description || <span className="mono">{image.references?.[0]}</span>}</div>
      </div>
    </div>
  );
}

function Tags({ of, choose }: { of: readonly string[]; choose: (tag: string) => void }) {
  return (
    <div className={css.tags}>
      {of.slice(0, 4).map((tag) => (
        <button key={tag} type="button" className={css.tag} onClick={() => choose(tag)}>
          {tag}
        </button>
      ))}
    </div>
  );
}
