import { Select } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, list, useCan } from '@/api';
import { t } from '@/text';

interface Props {
  label: string;
  description?: string;
  value: string;
  onChange: (id: string) => void;
  error?: string | undefined;
  /** May be left out. */
  clearable?: boolean;
  placeholder?: string;
}

/** Finds a user by a part of his name or address. */
export function UserSelect({ label, description, value, onChange, error, clearable, placeholder }: Props) {
  const [typed, setTyped] = useState('');
  const [search] = useDebouncedValue(typed, 200);
  const chosen = useUser(value);
  const wanted = search === chosen?.username ? '' : search;
  const found = useQuery({
    queryKey: keys.users('find', wanted),
    queryFn: ({ signal }) => list('/api/v1/users', { query: { search: wanted, limit: 20 }, signal }),
    placeholderData: (before) => before,
  });
  const users = [...(found.data?.items ?? [])];
  if (chosen && !users.some((each) => each.id === chosen.id)) users.unshift(chosen);
  return (
    <Select
      label={label}
      description={description}
      placeholder={placeholder}
      searchable
      clearable={!!clearable}
      value={value || null}
      onChange={(id) => onChange(id ?? '')}
      searchValue={typed}
      onSearchChange={setTyped}
      data={users.map((each) => ({ value: each.id, label: each.username }))}
      filter={({ options }) => options}
      nothingFoundMessage={t('common.nothingFound')}
      error={error}
    />
  );
}

function useUser(id: string) {
  const may = useCan()('users.read');
  return useQuery({ queryKey: keys.users(id), queryFn: () => call('get', '/api/v1/users/{id}', { path: { id } }), enabled: !!id && may, staleTime: 300_000 }).data;
}

/** A user by his name, where only his id is known. */
export function UserName({ id }: { id: string }) {
  const user = useUser(id);
  return <>{user?.username ?? id}</>;
}
