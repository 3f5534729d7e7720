#!/bin/sh
# Writes the recovered parts of Neo4j as statements, one a line, for an empty database of Neo4j 5.
#
#   OUT=/folder/of/the/parts docs/recover/neo4j.sh > graph.cypher && cypher-shell --file graph.cypher
#
# The server plans each statement anew: about a hundred rows a second were seen, so that a large graph takes patience.
# OUT holds contents.json and parts/, as the commands of docs/FORMAT.md made them. Needs jq and perl. Cypher has no way to write a byte
# array: properties that hold one are named on standard error and left out, and the exit code is then 3.
set -eu

file() {
  jq -r --arg name "/$1" '[.stores[].captured.parts[]] | to_entries[] | select(.value.name | startswith("neo4j/") and endswith($name)) | .key' "$OUT/contents.json"
}

perl -e '
  use strict; use warnings;
  my $out = shift;
  my $lost = 0;
  my $in;
  sub take {
    my ($wanted) = @_;
    return "" unless $wanted;
    read($in, my $got, $wanted) == $wanted or die "a part ends too soon\n";
    return $got;
  }
  sub name { my ($n) = @_; $n =~ s/\\/\\u005c/g; $n =~ s/`/``/g; return "`$n`" }
  sub text {
    my ($t) = @_;
    $t =~ s/([\\\x27])/\\$1/g;
    $t =~ s/([\x00-\x1f\x7f])/sprintf "\\u%04x", ord $1/ge;
    return "\x27$t\x27";
  }
  sub number {
    my ($f) = @_;
    return "(0.0 / 0.0)" if $f != $f;
    return $f > 0 ? "(1.0 / 0.0)" : "(-1.0 / 0.0)" if $f == 9**9**9 || $f == -9**9**9;
    my $t = sprintf "%.17g", $f;
    $t =~ s/e\+/e/;
    return $t =~ /[.e]/ ? $t : "$t.0";
  }
  sub offset {
    my ($s) = @_;
    my ($sign, $abs) = $s < 0 ? ("-", -$s) : ("+", $s);
    my $t = sprintf "%s%02d:%02d", $sign, int($abs / 3600), int($abs / 60) % 60;
    return $abs % 60 ? sprintf("%s:%02d", $t, $abs % 60) : $t;
  }
  sub clock {
    my ($n) = @_;
    my $s = int($n / 1000000000);
    return sprintf "hour: %d, minute: %d, second: %d, nanosecond: %d", int($s / 3600), int($s / 60) % 60, $s % 60, $n % 1000000000;
  }
  sub structure {
    my ($kind, @f) = @_;
    my $moment = sub { "datetime({datetime: datetime({epochSeconds: $f[0], nanosecond: $f[1]}), timezone: \x27$_[0]\x27})" };
    return "(date(\x271970-01-01\x27) + duration({days: $f[0]}))" if $kind eq "D";
    return "time({" . clock($f[0]) . ", timezone: \x27" . offset($f[1]) . "\x27})" if $kind eq "T";
    return "localtime({" . clock($f[0]) . "})" if $kind eq "t";
    return $moment->(offset($f[2])) if $kind eq "I";
    return $moment->(substr $f[2], 1, -1) if $kind eq "i";
    return "(localdatetime(\x271970-01-01T00:00\x27) + duration({seconds: $f[0], nanoseconds: $f[1]}))" if $kind eq "d";
    return "duration({months: $f[0], days: $f[1], seconds: $f[2], nanoseconds: $f[3]})" if $kind eq "E";
    return "point({srid: $f[0], x: $f[1], y: $f[2]})" if $kind eq "X";
    return "point({srid: $f[0], x: $f[1], y: $f[2], z: $f[3]})" if $kind eq "Y";
    die sprintf "a structure 0x%02x is not known\n", ord $kind;
  }
  # A value as Cypher writes it; lists and maps as references; undef for a byte array.
  sub value {
    my $m = ord take(1);
    my $size = sub { my ($form) = @_; unpack $form, take({"C" => 1, "S>" => 2, "L>" => 4}->{$form}) };
    return $m if $m < 0x80;
    return $m - 256 if $m >= 0xf0;
    return text(take($m & 15)) if ($m & 0xf0) == 0x80;
    return [map { value() } 1 .. $m & 15] if ($m & 0xf0) == 0x90;
    return +{map { plain() => value() } 1 .. $m & 15} if ($m & 0xf0) == 0xa0;
    if (($m & 0xf0) == 0xb0) { my $kind = take(1); return structure($kind, map { written(value()) } 1 .. $m & 15) }
    return "null" if $m == 0xc0;
    return number(unpack "d>", take(8)) if $m == 0xc1;
    return $m == 0xc3 ? "true" : "false" if $m == 0xc2 || $m == 0xc3;
    return unpack "c", take(1) if $m == 0xc8;
    return unpack "s>", take(2) if $m == 0xc9;
    return unpack "l>", take(4) if $m == 0xca;
    return unpack "q>", take(8) if $m == 0xcb;
    my $form = ("C", "S>", "L>")[$m & 3];
    if ($m >= 0xcc && $m <= 0xce) { take($size->($form)); return undef }
    return text(take($size->(("C", "S>", "L>")[$m - 0xd0]))) if $m >= 0xd0 && $m <= 0xd2;
    return [map { value() } 1 .. $size->(("C", "S>", "L>")[$m - 0xd4])] if $m >= 0xd4 && $m <= 0xd6;
    return +{map { plain() => value() } 1 .. $size->(("C", "S>", "L>")[$m - 0xd8])} if $m >= 0xd8 && $m <= 0xda;
    die sprintf "a marker 0x%02x is not known\n", $m;
  }
  # A string as it is: a key, a label or a type.
  sub plain {
    my $m = ord take(1);
    return take($m & 15) if ($m & 0xf0) == 0x80;
    return take(unpack "C", take(1)) if $m == 0xd0;
    return take(unpack "S>", take(2)) if $m == 0xd1;
    die "a name is no string\n";
  }
  sub names {
    my $m = ord take(1);
    my $count = ($m & 0xf0) == 0x90 ? $m & 15 : $m == 0xd4 ? unpack("C", take(1)) : $m == 0xd5 ? unpack("S>", take(2)) : unpack "L>", take(4);
    return map { plain() } 1 .. $count;
  }
  sub written { my ($v) = @_; return ref $v eq "ARRAY" ? "[" . join(", ", map { written($_) } @$v) . "]" : $v }
  sub properties {
    my ($of) = @_;
    my $map = value();
    my @all;
    for my $key (sort keys %$map) {
      if (defined $map->{$key}) { push @all, name($key) . ": " . written($map->{$key}) }
      else { print STDERR "$of: the byte array `$key` is left out\n"; $lost++ }
    }
    return "{" . join(", ", @all) . "}";
  }
  # Rows that are made by the same words go together, in few enough that the server reads the statement quickly.
  my (%rows, %bytes);
  sub row {
    my ($words, $row) = @_;
    push @{$rows{$words}}, $row;
    $bytes{$words} += length $row;
    flush($words) if @{$rows{$words}} >= 60 || $bytes{$words} > 100000;
  }
  sub flush {
    my ($words) = @_;
    print "UNWIND [", join(", ", @{$rows{$words}}), "] AS row $words;\n" if @{$rows{$words} || []};
    delete $rows{$words};
    $bytes{$words} = 0;
  }
  sub frames {
    my ($file, $each) = @_;
    open $in, "<:raw", $file or die "$file: $!\n";
    until (eof $in) {
      take(4);
      my $fields = ord(take(1)) & 15;
      $each->();
    }
    flush($_) for sort keys %rows;
  }
  my $mark = "summitctl_recovered";
  print "CREATE CONSTRAINT $mark FOR (n:$mark) REQUIRE n.$mark IS UNIQUE;\n";
  frames("$out/parts/$ARGV[0]", sub {
    my $id = value();
    my $labels = join "", map { ":" . name($_) } names();
    my $properties = properties("node $id");
    row("CREATE (n:$mark$labels) SET n = row.p, n.$mark = row.id", "{id: $id, p: $properties}");
  });
  frames("$out/parts/$ARGV[1]", sub {
    my $id = value();
    my $type = name(plain());
    my ($from, $to) = (value(), value());
    my $properties = properties("relationship $id");
    row("MATCH (a:$mark {$mark: row.a}) MATCH (b:$mark {$mark: row.b}) CREATE (a)-[r:$type]->(b) SET r = row.p", "{a: $from, b: $to, p: $properties}");
  });
  print "MATCH (n:$mark) CALL { WITH n REMOVE n:$mark, n.$mark } IN TRANSACTIONS OF 10000 ROWS;\n";
  print "DROP CONSTRAINT $mark;\n";
  exit($lost ? 3 : 0);
' "$OUT" "$(file nodes)" "$(file relationships)" || code=$?
jq -r '.[] | select(.create | startswith("CREATE LOOKUP INDEX ") | not) | .create + ";"' "$OUT/parts/$(file schema)"
exit "${code:-0}"
