import { SimpleGrid, TextInput, UnstyledButton } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { keys, list, type View } from '@/api';
import { t } from '@/text';
import { EmptyState, ErrorNotice, RowSkeletons } from '@/ui';
import { ImageIcon } from './ImageIcon';
import css from './parts.module.css';

interface Props {
  value: string;
  onChoose: (image: View<'ImageView'>) => void;
}

/** Chooses an image of the catalogue. */
export function ImagePicker({ value, onChoose }: Props) {
  const [typed, setTyped] = useState('');
  const [search] = useDebouncedValue(typed, 200);
  const query = { search, limit: 100, sort: 'name' as const };
  const images = useQuery({ queryKey: keys.images('list', query), queryFn: ({ signal }) => list('/api/v1/images', { query, signal }), placeholderData: (before) => before });
  if (images.error && !images.data) return <ErrorNotice error={images.error} retry={() => void images.refetch()} />;
  return (
    <>
      <TextInput mb="sm" type="search" aria-label={t('common.search')} placeholder={t('deploy.imageSearch')} leftSection={<IconSearch size={16} aria-hidden />} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} />
      {!images.data && <RowSkeletons rows={3} />}
      {images.data?.items.length === 0 && <EmptyState title={t('common.nothingFound')}>{t('common.nothingFoundHint')}</EmptyState>}
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm" role="radiogroup" aria-label={t('deploy.image')}>
        {images.data?.items.map((image) => (
          <UnstyledButton key={image.id} className={css.card} role="radio" aria-checked={image.id === value} onClick={() => onChoose(image)}>
            <span className={css.cardName}>
              <ImageIcon image={image} size={24} />
              <strong>{image.name}</strong>
            </span>
            <span className={`quiet ${css.cardAbout}`}>{image.description}</span>
            <span className="mono quiet">{image.references?.[0]}</span>
          </UnstyledButton>
        ))}
      </SimpleGrid>
      {images.data && images.data.total > images.data.items.length && <p className="quiet">{t('deploy.imageMore', { count: images.data.total - images.data.items.length })}</p>}
    </>
  );
}
