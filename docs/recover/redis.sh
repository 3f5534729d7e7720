#!/bin/sh
# Writes the recovered parts of Redis as commands that `redis-cli --pipe` sends to an empty server.
#
#   OUT=/folder/of/the/parts docs/recover/redis.sh | redis-cli -h HOST -p PORT --pipe
#
# OUT holds contents.json and parts/, as the commands of docs/FORMAT.md made them. The password comes from REDISCLI_AUTH. Needs jq
# and perl. A value goes in one command, so that one of more bytes than `proto-max-bulk-len` (512 MB unless set) needs a larger one.
# Keys keep their expiry; those that have expired meanwhile do not come back.
set -eu

jq -r '[.stores[].captured.parts[]] | to_entries[] | select(.value.name | startswith("redis/")) | "\(.key) \(.value.name)"' "$OUT/contents.json" |
while read -r file name; do
  perl -e '
    use strict; use warnings; no warnings "portable";
    binmode STDIN; binmode STDOUT;
    my ($name) = @ARGV;
    my (@crc, $parts);
    # CRC-64 as Redis has it: Jones, reflected.
    for my $n (0 .. 255) {
      my $c = $n;
      $c = $c & 1 ? ($c >> 1) ^ 0x95ac9329ac4bc9b5 : $c >> 1 for 1 .. 8;
      $crc[$n] = $c;
    }
    sub crc {
      my $c = 0;
      while ($_[0] =~ /(.{1,32768})/gs) { $c = $crc[($c ^ $_) & 255] ^ ($c >> 8) for unpack "C*", $1 }
      return $c;
    }
    sub take {
      my ($wanted) = @_;
      my $got = "";
      while (length $got < $wanted) {
        read(STDIN, my $more, $wanted - length $got) or die "$name ends too soon\n";
        $got .= $more;
      }
      return $got;
    }
    sub command { print "*", scalar @_, "\r\n"; print "\$", length $_, "\r\n", $_, "\r\n" for @_ }

    if ($name eq "redis/functions") {
      local $/;
      command("FUNCTION", "RESTORE", scalar <STDIN>, "REPLACE");
      exit;
    }
    my ($database) = $name =~ m{^redis/(\d+)/keys$} or die "$name is of a cluster: its keys go to the node of their slot\n";
    take(20) =~ /^redis-dump-stream [12]\n$/ or die "$name is no redis-dump-stream\n";
    command("SELECT", $database);
    my ($records, $first, $count, $elements, $fragments) = (0, "", 0, "", "");
    while ((my $kind = take(1)) eq "\x01") {
      $records++;
      my ($expiry, $flags) = unpack "Q<C", take(9);
      my @usage = $flags & 2 ? ("IDLETIME", unpack "Q<", take(8)) : $flags & 4 ? ("FREQ", unpack "C", take(1)) : ();
      my $key = take(unpack "L<", take(4));
      my $payload = take(unpack "Q<", take(8));
      if ($flags & 32) {
        # Some bytes of one payload.
        $fragments .= $payload;
        next if $flags & 16;
        ($payload, $fragments) = ($fragments, "");
      } elsif ($flags & 24) {
        # A large value in pieces: type, for hashes with expiring fields 8 bytes more, 0x81, the number of elements, the elements.
        my $head = 1 + (ord $payload == 24 ? 8 : 0);
        substr($payload, $head, 1) eq "\x81" or die "a piece of $key is damaged\n";
        my $number = unpack "Q>", substr $payload, $head + 1, 8;
        ($first, $count, $elements) = (substr($payload, 0, $head), 0, "") unless $flags & 8;
        $count += $number;
        $elements .= substr $payload, $head + 9, -10;
        next if $flags & 16;
        $payload = $first . "\x81" . pack("Q>", $count) . $elements . substr $payload, -10, 2;
        $payload .= pack "Q<", crc($payload);
      }
      command("RESTORE", $key, $expiry, $payload, "REPLACE", "ABSTTL", @usage);
    }
    $records == unpack "Q<", take(8) or die "$name does not hold as many records as it says\n";
  ' "$name" < "$OUT/parts/$file"
done
